// Package wordpiece splits text into the numbered pieces that BERT-like models take:
// Hugging Face's tokenizer.json with the normaliser, splitter and WordPiece model of
// uncased BERT (Devlin and others, NAACL 2019; greedy longest match as in Wu and others,
// arXiv 1609.08144). Other kinds of tokenizer are refused, not guessed.
//
// A Tokenizer does not change and is safe for concurrent use.
package wordpiece

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Tokenizer turns text into pieces.
type Tokenizer struct {
	vocabulary         map[string]int64
	unknown, cls, sep  int64
	prefix             string
	maxWord            int
	lowercase, accents bool
	chinese            bool
}

// file is what is read of a tokenizer.json.
type file struct {
	Normalizer struct {
		Type          string `json:"type"`
		StripAccents  *bool  `json:"strip_accents"`
		Lowercase     bool   `json:"lowercase"`
		HandleChinese bool   `json:"handle_chinese_chars"`
	} `json:"normalizer"`
	PreTokenizer struct {
		Type string `json:"type"`
	} `json:"pre_tokenizer"`
	Model struct {
		Type       string           `json:"type"`
		Unknown    string           `json:"unk_token"`
		Prefix     string           `json:"continuing_subword_prefix"`
		MaxWord    int              `json:"max_input_chars_per_word"`
		Vocabulary map[string]int64 `json:"vocab"`
	} `json:"model"`
}

// Read reads a tokenizer.json.
func Read(b []byte) (*Tokenizer, error) {
	var f file
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	if f.Model.Type != "WordPiece" || f.Normalizer.Type != "BertNormalizer" || f.PreTokenizer.Type != "BertPreTokenizer" {
		return nil, fmt.Errorf("tokenizer: model %q, normalizer %q, pre-tokenizer %q; only WordPiece as in BERT is read", f.Model.Type, f.Normalizer.Type,
			f.PreTokenizer.Type)
	}
	t := &Tokenizer{
		vocabulary: f.Model.Vocabulary, prefix: f.Model.Prefix, maxWord: f.Model.MaxWord,
		lowercase: f.Normalizer.Lowercase, accents: f.Normalizer.Lowercase, chinese: f.Normalizer.HandleChinese,
	}
	if f.Normalizer.StripAccents != nil {
		t.accents = *f.Normalizer.StripAccents
	}
	var ok [3]bool
	t.unknown, ok[0] = t.vocabulary[f.Model.Unknown]
	t.cls, ok[1] = t.vocabulary["[CLS]"]
	t.sep, ok[2] = t.vocabulary["[SEP]"]
	if ok != [3]bool{true, true, true} || t.maxWord < 1 {
		return nil, errors.New("tokenizer: [CLS], [SEP] or the unknown piece is not in the vocabulary, or words may have no length")
	}
	return t, nil
}

// Append appends the numbers of a text's pieces, with [CLS] in front and [SEP] at the
// end, cut to at most limit numbers (2 or more).
func (t *Tokenizer) Append(dst []int64, text string, limit int) []int64 {
	first := len(dst)
	dst = append(dst, t.cls)
	for word := range strings.FieldsSeq(t.spaced(text)) {
		dst = t.appendWord(dst, word)
		if len(dst)-first >= limit {
			dst = dst[:first+limit-1]
			break
		}
	}
	return append(dst, t.sep)
}

// spaced normalises a text and puts spaces around what is a word of its own.
func (t *Tokenizer) spaced(text string) string {
	if t.lowercase {
		text = strings.ToLower(text)
	}
	if t.accents {
		text = norm.NFD.String(text)
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == 0 || r == utf8.RuneError:
		case unicode.IsSpace(r):
			b.WriteByte(' ')
		case unicode.Is(unicode.C, r):
		case t.accents && unicode.Is(unicode.Mn, r):
		case punctuation(r) || t.chinese && chinese(r):
			b.WriteByte(' ')
			b.WriteRune(r)
			b.WriteByte(' ')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// punctuation is what BERT splits at: all ASCII that is neither letter, digit, space nor
// control, and Unicode's punctuation.
func punctuation(r rune) bool {
	return r >= 33 && r <= 47 || r >= 58 && r <= 64 || r >= 91 && r <= 96 || r >= 123 && r <= 126 || unicode.IsPunct(r)
}

// chinese reports the CJK ideographs, of which each is a word of its own in BERT.
func chinese(r rune) bool {
	return r >= 0x4E00 && r <= 0x9FFF || r >= 0x3400 && r <= 0x4DBF || r >= 0x20000 && r <= 0x2A6DF || r >= 0x2A700 && r <= 0x2B73F ||
		r >= 0x2B740 && r <= 0x2B81F || r >= 0x2B820 && r <= 0x2CEAF || r >= 0xF900 && r <= 0xFAFF || r >= 0x2F800 && r <= 0x2FA1F
}

// appendWord appends a word's pieces, each the longest that fits, or the unknown piece.
func (t *Tokenizer) appendWord(dst []int64, word string) []int64 {
	first := len(dst)
	if utf8.RuneCountInString(word) > t.maxWord {
		return append(dst, t.unknown)
	}
	for at := 0; at < len(word); {
		end := len(word)
		for ; end > at; _, end = previous(word, end) {
			piece := word[at:end]
			if at > 0 {
				piece = t.prefix + piece
			}
			if id, ok := t.vocabulary[piece]; ok {
				dst = append(dst, id)
				break
			}
		}
		if end == at {
			return append(dst[:first], t.unknown)
		}
		at = end
	}
	return dst
}

// previous gives the rune before an index and where it begins.
func previous(s string, end int) (rune, int) {
	r, n := utf8.DecodeLastRuneInString(s[:end])
	return r, end - n
}
