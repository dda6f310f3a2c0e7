package text

import "github.com/aimass/aimass/runtime/ops"

// Register adds the operators on strings.
func Register(r *ops.Registry) {
	r.Add(regexFullMatch(), stringConcat(), stringNormalizer(), stringSplit(), tfIdfVectorizer())
}
