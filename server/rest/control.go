package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/api/inferencepb"
	"github.com/aimass/aimass/server/wire"
)

// decode reads the body of a control call into v; an empty body leaves v as it is. Fields that
// v lacks are passed over, as the protocol's clients may send what later versions of it have.
func (h *Handler) decode(ctx *fasthttp.RequestCtx, j *job, v any) error {
	return h.decodeBody(ctx, j, v, false)
}

// decodeOwn is decode for calls that the protocol does not have: a field that v lacks is an
// error, since what it should have said would be passed over in silence.
func (h *Handler) decodeOwn(ctx *fasthttp.RequestCtx, j *job, v any) error {
	return h.decodeBody(ctx, j, v, true)
}

func (h *Handler) decodeBody(ctx *fasthttp.RequestCtx, j *job, v any, strict bool) error {
	body, err := h.read(ctx, j)
	if err != nil || len(bytes.TrimSpace(body)) == 0 {
		return err
	}
	if err := wire.Validate(body); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if strict {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(v); err != nil {
		return api.Errorf(api.CodeInvalidJSON, "the body does not fit this call: %s", misfit(err))
	}
	return nil
}

// misfit says in the terms of JSON what encoding/json found.
func misfit(err error) string {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return strings.TrimPrefix(err.Error(), "json: ")
	}
	want := "a number"
	switch wrong.Type.Kind() {
	case reflect.Bool:
		want = "true or false"
	case reflect.String:
		want = "a string"
	case reflect.Slice:
		want = "a list"
	case reflect.Struct, reflect.Map, reflect.Pointer:
		want = "an object"
	}
	if wrong.Field == "" {
		return fmt.Sprintf("it is a JSON %s, expected %s", wrong.Value, want)
	}
	return fmt.Sprintf("%s is a JSON %s, expected %s", wrong.Field, wrong.Value, want)
}

func (h *Handler) repositoryIndex(ctx *fasthttp.RequestCtx, j *job) error {
	if err := method(ctx, fasthttp.MethodPost); err != nil {
		return err
	}
	var in struct {
		Ready bool `json:"ready"`
	}
	if err := h.decode(ctx, j, &in); err != nil {
		return err
	}
	r, err := h.service.RepositoryIndex("", in.Ready)
	if err != nil {
		return err
	}
	body := []byte{'['}
	for i, m := range r.Models {
		if i > 0 {
			body = append(body, ',')
		}
		body = appendMessage(body, m)
	}
	h.send(ctx, contentJSON, append(body, ']'))
	return nil
}

// repositoryModel answers load, unload and what is about versions; rest is M/what or
// M/versions/V/what.
func (h *Handler) repositoryModel(ctx *fasthttp.RequestCtx, j *job, rest []byte) error {
	name, what, _ := strings.Cut(string(rest), "/")
	if below, ok := strings.CutPrefix(what, "versions/"); ok {
		return h.versionPath(ctx, j, name, below)
	}
	if what != "load" && what != "unload" {
		return h.release(ctx, j, name, what)
	}
	if err := method(ctx, fasthttp.MethodPost); err != nil {
		return err
	}
	if err := h.service.Authorize(caller(ctx)); err != nil {
		h.drain(ctx)
		return err
	}
	var in struct {
		Parameters map[string]any `json:"parameters"`
	}
	if err := h.decode(ctx, j, &in); err != nil {
		return err
	}
	params, err := repositoryParams(in.Parameters)
	if err != nil {
		return err
	}
	if what == "load" {
		err = h.service.RepositoryLoad(ctx, &inferencepb.RepositoryModelLoadRequest{ModelName: name, Parameters: params})
	} else {
		err = h.service.RepositoryUnload(ctx, &inferencepb.RepositoryModelUnloadRequest{ModelName: name, Parameters: params})
	}
	if err != nil {
		return err
	}
	h.send(ctx, contentJSON, []byte(`{}`))
	return nil
}

// repositoryParams turns JSON values into the protocol's; files come in base64, as []byte does in encoding/json.
func repositoryParams(in map[string]any) (map[string]*inferencepb.ModelRepositoryParameter, error) {
	out := map[string]*inferencepb.ModelRepositoryParameter{}
	for key, value := range in {
		p := &inferencepb.ModelRepositoryParameter{}
		switch v := value.(type) {
		case bool:
			p.ParameterChoice = &inferencepb.ModelRepositoryParameter_BoolParam{BoolParam: v}
		case string:
			p.ParameterChoice = &inferencepb.ModelRepositoryParameter_StringParam{StringParam: v}
			if strings.HasPrefix(key, "file:") {
				var data []byte
				quoted, _ := json.Marshal(v)
				if err := json.Unmarshal(quoted, &data); err != nil {
					return nil, api.Errorf(api.CodeParameterInvalid, "parameter '%s' is not valid base64", key)
				}
				p.ParameterChoice = &inferencepb.ModelRepositoryParameter_BytesParam{BytesParam: data}
			}
		case float64:
			p.ParameterChoice = &inferencepb.ModelRepositoryParameter_Int64Param{Int64Param: int64(v)}
		default:
			return nil, api.Errorf(api.CodeParameterInvalid, "parameter '%s' must be a string or a bool", key)
		}
		out[key] = p
	}
	return out, nil
}

func (h *Handler) traceSetting(ctx *fasthttp.RequestCtx, j *job, model []byte) error {
	if err := method(ctx, fasthttp.MethodGet, fasthttp.MethodPost); err != nil {
		return err
	}
	r := &inferencepb.TraceSettingRequest{ModelName: string(model)}
	if ctx.IsPost() {
		if err := h.service.Authorize(caller(ctx)); err != nil {
			h.drain(ctx)
			return err
		}
		in := map[string]any{}
		if err := h.decode(ctx, j, &in); err != nil {
			return err
		}
		r.Settings = map[string]*inferencepb.TraceSettingRequest_SettingValue{}
		for key, value := range in {
			list, err := settingValues(key, value)
			if err != nil {
				return err
			}
			r.Settings[key] = &inferencepb.TraceSettingRequest_SettingValue{Value: list}
		}
	}
	out, err := h.service.TraceSetting(r)
	if err != nil {
		return err
	}
	body := map[string]any{}
	for key, value := range out.Settings {
		body[key] = value.Value[0]
		if key == "trace_level" {
			body[key] = value.Value
		}
	}
	return h.sendJSON(ctx, body)
}

// settingValues reads a trace setting: a string, a list of strings, or null to clear it.
func settingValues(key string, value any) ([]string, error) {
	switch v := value.(type) {
	case nil:
		return nil, nil
	case string:
		return []string{v}, nil
	case []any:
		var list []string
		for _, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil, api.Errorf(api.CodeParameterInvalid, "trace setting '%s' must hold strings", key)
			}
			list = append(list, s)
		}
		return list, nil
	}
	return nil, api.Errorf(api.CodeParameterInvalid, "trace setting '%s' must be a string or a list of strings", key)
}

func (h *Handler) logging(ctx *fasthttp.RequestCtx, j *job) error {
	if err := method(ctx, fasthttp.MethodGet, fasthttp.MethodPost); err != nil {
		return err
	}
	r := &inferencepb.LogSettingsRequest{}
	if ctx.IsPost() {
		if err := h.service.Authorize(caller(ctx)); err != nil {
			h.drain(ctx)
			return err
		}
		in := map[string]any{}
		if err := h.decode(ctx, j, &in); err != nil {
			return err
		}
		r.Settings = map[string]*inferencepb.LogSettingsRequest_SettingValue{}
		for key, value := range in {
			s := &inferencepb.LogSettingsRequest_SettingValue{}
			switch v := value.(type) {
			case bool:
				s.ParameterChoice = &inferencepb.LogSettingsRequest_SettingValue_BoolParam{BoolParam: v}
			case string:
				s.ParameterChoice = &inferencepb.LogSettingsRequest_SettingValue_StringParam{StringParam: v}
			case float64:
				if v >= 0 && v == float64(uint32(v)) {
					s.ParameterChoice = &inferencepb.LogSettingsRequest_SettingValue_Uint32Param{Uint32Param: uint32(v)}
				}
			}
			r.Settings[key] = s
		}
	}
	out, err := h.service.LogSettings(r)
	if err != nil {
		return err
	}
	body := map[string]any{}
	for key, value := range out.Settings {
		switch v := value.ParameterChoice.(type) {
		case *inferencepb.LogSettingsResponse_SettingValue_BoolParam:
			body[key] = v.BoolParam
		case *inferencepb.LogSettingsResponse_SettingValue_Uint32Param:
			body[key] = v.Uint32Param
		case *inferencepb.LogSettingsResponse_SettingValue_StringParam:
			body[key] = v.StringParam
		}
	}
	return h.sendJSON(ctx, body)
}

func (h *Handler) sendJSON(ctx *fasthttp.RequestCtx, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	h.send(ctx, contentJSON, body)
	return nil
}
