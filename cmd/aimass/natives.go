package main

import (
	"github.com/aimass/aimass/appointment/hosted"
	"github.com/aimass/aimass/pipeline"
	"github.com/aimass/aimass/runtime/native"
	"github.com/aimass/aimass/runtime/native/text"
)

// checks lists the checks of input values that a config.pbtxt may name.
func checks() map[string]pipeline.Check {
	return map[string]pipeline.Check{hosted.NoShowCheck: hosted.CheckNoShow}
}

// natives lists the models that are Go code and that a config.pbtxt may name. call runs
// the others for those that are made of several.
func natives(call native.Caller) []native.Entry {
	return append(hosted.Entries(call), text.Entries()...)
}
