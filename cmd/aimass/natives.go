package main

import "github.com/aimass/aimass/runtime/native"

// natives lists the models that are Go code and that a config.pbtxt may name.
func natives() []native.Entry { return nil }
