package rest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"

	"github.com/valyala/fasthttp"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/batcher"
	"github.com/aimass/aimass/runtime/tensor"
	"github.com/aimass/aimass/server/service"
	"github.com/aimass/aimass/server/sock"
	"github.com/aimass/aimass/server/wire"
)

// pathOpenAI is what the paths of calls in OpenAI's form begin with.
var pathOpenAI = []byte("/v1/")

// appendOpenAIError appends the body of an error as OpenAI's client libraries read it, which show nothing of one whose "error" is a text.
// What every error body has beside that, it has, too.
func appendOpenAIError(dst []byte, err error, id string) []byte {
	code, kind := api.CodeOf(err), "invalid_request_error"
	if code.HTTPStatus() >= fasthttp.StatusInternalServerError {
		kind = "server_error"
	}
	dst = append(dst, `{"error":{"message":"`...)
	dst = api.AppendJSONEscaped(dst, api.Message(err))
	dst = append(dst, `","type":"`...)
	dst = append(dst, kind...)
	dst = append(dst, `","param":null,"code":"`...)
	dst = api.AppendJSONEscaped(dst, string(code))
	dst = append(dst, `"},"code":"`...)
	dst = api.AppendJSONEscaped(dst, string(code))
	dst = append(dst, `","request_id":"`...)
	dst = api.AppendJSONEscaped(dst, id)
	dst = append(dst, `","retryable":`...)
	dst = strconv.AppendBool(dst, code.Retryable())
	return append(dst, '}')
}

// maxTexts bounds the texts of one call, as OpenAI's service does.
const maxTexts = 2048

// embeddingsRequest is a request in the form of OpenAI's embeddings call.
type embeddingsRequest struct {
	Model          string          `json:"model"`
	Input          json.RawMessage `json:"input"`
	EncodingFormat string          `json:"encoding_format"`
	Dimensions     *int            `json:"dimensions"`
}

// texts reads the input: a string, or a list of them.
func (r *embeddingsRequest) texts() ([]string, error) {
	var list []string
	in := bytes.TrimSpace(r.Input)
	switch {
	case len(in) == 0 || string(in) == "null":
		return nil, api.Errorf(api.CodeFieldMissing, "field 'input' is missing: expected a string or a list of strings")
	case in[0] == '"':
		var one string
		if err := json.Unmarshal(in, &one); err != nil {
			return nil, api.Errorf(api.CodeInvalidJSON, "field 'input' is no valid string")
		}
		list = []string{one}
	default:
		if err := json.Unmarshal(in, &list); err != nil {
			return nil, api.Errorf(api.CodeParameterInvalid, "field 'input' must be a string or a list of strings; lists of token numbers are not taken")
		}
	}
	if len(list) == 0 || len(list) > maxTexts {
		return nil, api.Errorf(api.CodeParameterInvalid, "field 'input' has %d texts, expected 1 to %d", len(list), maxTexts)
	}
	for i, s := range list {
		if s == "" {
			return nil, api.Errorf(api.CodeValueInvalid, "text %d of 'input' is empty", i)
		}
	}
	return list, nil
}

// embeddings answers POST /v1/embeddings: OpenAI's call on a model, mostly an ensemble, that
// takes texts and gives vectors.
func (h *Handler) embeddings(ctx *fasthttp.RequestCtx, j *job) error {
	if err := method(ctx, fasthttp.MethodPost); err != nil {
		return err
	}
	var r embeddingsRequest
	if err := h.decode(ctx, j, &r); err != nil {
		return err
	}
	if r.Model == "" {
		return api.Errorf(api.CodeFieldMissing, "field 'model' is missing")
	}
	j.model = append(j.model, r.Model...)
	texts, err := r.texts()
	if err != nil {
		return err
	}
	if f := r.EncodingFormat; f != "" && f != "float" && f != "base64" {
		return api.Errorf(api.CodeParameterInvalid, "field 'encoding_format': got '%s', expected 'float' or 'base64'", f)
	}
	tenant, route := string(ctx.Request.Header.PeekBytes(headerTenant)), string(ctx.Request.Header.PeekBytes(headerRoute))
	timeout, err := headerDuration(ctx)
	if err != nil {
		return err
	}
	var caller batcher.Caller
	if c, ok := ctx.Conn().(*sock.Conn); ok {
		caller = c
	}
	list, err := h.service.Embed(r.Model, tenant, route, caller, timeout, texts)
	if err != nil {
		return err
	}
	if width := len(list[0].Vector) / 4; r.Dimensions != nil && *r.Dimensions != width {
		return api.Errorf(api.CodeParameterInvalid, "field 'dimensions': got %d, expected %d: the model's vectors can't be shortened", *r.Dimensions, width)
	}
	h.send(ctx, contentJSON, appendEmbeddings(nil, &r, list))
	return nil
}

func appendEmbeddings(dst []byte, r *embeddingsRequest, list []service.Embedding) []byte {
	dst = append(dst, `{"object":"list","data":[`...)
	total := int64(0)
	for i := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"object":"embedding","index":`...)
		dst = strconv.AppendInt(dst, int64(i), 10)
		if r.EncodingFormat == "base64" {
			dst = append(dst, `,"embedding":"`...)
			dst = base64.StdEncoding.AppendEncode(dst, list[i].Vector)
			dst = append(dst, `"}`...)
		} else {
			dst = append(dst, `,"embedding":[`...)
			dst = wire.AppendData(dst, tensor.Float32, list[i].Vector, nil)
			dst = append(dst, `]}`...)
		}
		total += list[i].Pieces
	}
	dst = append(dst, `],"model":"`...)
	dst = api.AppendJSONEscaped(dst, r.Model)
	dst = append(dst, `","usage":{"prompt_tokens":`...)
	dst = strconv.AppendInt(dst, total, 10)
	dst = append(dst, `,"total_tokens":`...)
	dst = strconv.AppendInt(dst, total, 10)
	return append(dst, `}}`...)
}
