package service

import (
	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/api/inferencepb"
)

// LogSettings changes what the request names and returns all settings.
func (s *Service) LogSettings(r *inferencepb.LogSettingsRequest) (*inferencepb.LogSettingsResponse, error) {
	set := s.log.Settings()
	for key, value := range r.Settings {
		var err error
		switch key {
		case "log_info":
			set.Info, err = boolSetting(key, value)
		case "log_warning":
			set.Warning, err = boolSetting(key, value)
		case "log_error":
			set.Error, err = boolSetting(key, value)
		case "log_verbose_level":
			choice, ok := value.GetParameterChoice().(*inferencepb.LogSettingsRequest_SettingValue_Uint32Param)
			if !ok {
				return nil, api.Errorf(api.CodeParameterInvalid, "log setting '%s' must be a whole number, not negative", key)
			}
			set.Verbose = choice.Uint32Param
		case "log_file":
			err = api.Errorf(api.CodeParameterInvalid, "log file location can not be updated through network protocol")
		case "log_format":
			if value.GetStringParam() != logFormat {
				err = api.Errorf(api.CodeParameterInvalid, "log setting 'log_format' can not be changed while the server runs")
			}
		default:
			err = api.Errorf(api.CodeParameterInvalid, "unknown log setting '%s'", key)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(r.Settings) > 0 {
		s.log.Set(set)
	}
	str := func(v string) *inferencepb.LogSettingsResponse_SettingValue {
		return &inferencepb.LogSettingsResponse_SettingValue{ParameterChoice: &inferencepb.LogSettingsResponse_SettingValue_StringParam{StringParam: v}}
	}
	flag := func(v bool) *inferencepb.LogSettingsResponse_SettingValue {
		return &inferencepb.LogSettingsResponse_SettingValue{ParameterChoice: &inferencepb.LogSettingsResponse_SettingValue_BoolParam{BoolParam: v}}
	}
	return &inferencepb.LogSettingsResponse{Settings: map[string]*inferencepb.LogSettingsResponse_SettingValue{
		"log_file": str(""), "log_format": str(logFormat),
		"log_info": flag(set.Info), "log_warning": flag(set.Warning), "log_error": flag(set.Error),
		"log_verbose_level": {ParameterChoice: &inferencepb.LogSettingsResponse_SettingValue_Uint32Param{Uint32Param: set.Verbose}},
	}}, nil
}

// logFormat is the protocol's name of the format that the server writes: slog's times are in ISO 8601.
const logFormat = "ISO8601"

func boolSetting(key string, value *inferencepb.LogSettingsRequest_SettingValue) (bool, error) {
	choice, ok := value.GetParameterChoice().(*inferencepb.LogSettingsRequest_SettingValue_BoolParam)
	if !ok {
		return false, api.Errorf(api.CodeParameterInvalid, "log setting '%s' must be a bool", key)
	}
	return choice.BoolParam, nil
}
