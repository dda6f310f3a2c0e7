package wordpiece

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

const small = `{"normalizer":{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true},
	"pre_tokenizer":{"type":"BertPreTokenizer"},
	"model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":10,
	"vocab":{"[UNK]":0,"[CLS]":1,"[SEP]":2,"my":3,"head":4,"##ache":5,"##s":6,"a":7,"##b":8,"##ab":9,"cafe":10,"'":11,"!":12,"头":13,"痛":14,"he":15}}}`

func read(t testing.TB) *Tokenizer {
	t.Helper()
	k, err := Read([]byte(small))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestAppend(t *testing.T) {
	k := read(t)
	f := func(text string, want ...int64) {
		t.Helper()
		if got := k.Append(nil, text, 100); !slices.Equal(got, slices.Concat([]int64{1}, want, []int64{2})) {
			t.Errorf("%q: %v, want %v between the ends", text, got, want)
		}
	}
	f("")
	f("My headaches!", 3, 4, 5, 6, 12)
	f("Café's\tmy", 10, 11, 0, 3) // "s" alone is not in the vocabulary
	f("头痛", 13, 14)
	f("aab", 7, 9)
	f("headx my", 0, 3)                    // a word whose end is unknown is unknown as a whole
	f(strings.Repeat("a", 11)+" my", 0, 3) // too long
	f("he\u0000ad\u200b my\ufffd", 4, 3)
}

func TestAppendCuts(t *testing.T) {
	k := read(t)
	f := func(limit int, want ...int64) {
		t.Helper()
		if got := k.Append([]int64{99}, "my my headaches", limit); !slices.Equal(got, append([]int64{99}, want...)) {
			t.Errorf("limit %d: %v, want %v", limit, got, want)
		}
	}
	f(2, 1, 2)
	f(3, 1, 3, 2)
	f(5, 1, 3, 3, 4, 2)
	f(7, 1, 3, 3, 4, 5, 6, 2)
}

func TestReadRefuses(t *testing.T) {
	f := func(from, to string) {
		t.Helper()
		if _, err := Read([]byte(strings.Replace(small, from, to, 1))); err == nil {
			t.Errorf("%s for %s was read", to, from)
		}
	}
	f("WordPiece", "BPE")
	f("BertNormalizer", "NFC")
	f(`"[CLS]":1,`, "")
	f("{", "")
}

func FuzzAppend(f *testing.F) {
	f.Add("My headaches!", 8)
	f.Add("\xff头é\u0301", 2)
	k := read(f)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		limit = 2 + (limit%64+64)%64
		got := k.Append(nil, text, limit)
		if len(got) < 2 || len(got) > limit || got[0] != k.cls || got[len(got)-1] != k.sep {
			t.Errorf("%q, %d: %v", text, limit, got)
		}
		if utf8.ValidString(text) && len(text) == 0 && len(got) != 2 {
			t.Errorf("nothing gave %v", got)
		}
	})
}
