package main

import (
	"github.com/aimass/aimass/appointment/hosted"
	"github.com/aimass/aimass/runtime/native"
)

// natives lists the models that are Go code and that a config.pbtxt may name. call runs
// the others for those that are made of several.
func natives(call native.Caller) []native.Entry { return hosted.Entries(call) }
