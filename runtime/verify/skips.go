package verify

// skips lists the cases of the standard that are left out, each with its reason.
var skips = map[string]string{}
