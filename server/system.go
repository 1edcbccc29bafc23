package server

import (
	"fmt"
	"net/http"
	"net/netip"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"carillon/dispatch"
	"carillon/server/api"
	"carillon/storage"
)

func (h *handler) showSystem(http.ResponseWriter, *request) (int, any, error) {
	st := h.eng.Stats()
	s := api.System{
		Version: h.opts.Version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Health: api.HealthOK, Problems: []string{}, Volumes: []api.SystemVolume{},
		Log: api.SystemLog{Bytes: st.LogBytes, Syncs: st.Syncs, Sync: latencyOf(st.SyncTime.Latency())},
	}
	if err := h.eng.Warnings(); err != nil {
		s.Health, s.Problems = api.HealthDegraded, strings.Split(err.Error(), "\n")
	}
	if err := h.eng.Health(); err != nil {
		s.Health, s.Problems = api.HealthFailing, append(strings.Split(err.Error(), "\n"), s.Problems...)
	}
	for _, v := range h.eng.VolumeStats() {
		shown := api.SystemVolume{
			Name: v.Volume, Served: v.Err == nil, Epoch: v.Epoch, Bytes: v.Bytes, FreeBytes: v.FreeBytes, Uncopied: v.Uncopied, Commits: v.Commits, Written: v.Written,
		}
		if v.Err != nil {
			shown.Fault = v.Err.Error()
		}
		s.Volumes = append(s.Volumes, shown)
	}
	s.Settings = settingsOf(settingsOf(s.Settings, "engine", "", reflect.ValueOf(h.eng.Options())), "server", "", reflect.ValueOf(h.opts))
	return http.StatusOK, s, nil
}

// settingsOf adds the options that are of a kind that is no secret: no text but lists of names, and nothing
// that is a part of the program.
func settingsOf(list []api.Setting, of, prefix string, options reflect.Value) []api.Setting {
	for i := range options.NumField() {
		field := options.Type().Field(i)
		if !field.IsExported() {
			continue
		}
		value, text := options.Field(i), ""
		switch v := value.Interface().(type) {
		case time.Duration:
			text = v.String()
		case int, int64, bool:
			text = fmt.Sprint(v)
		case []string:
			text = strings.Join(v, ", ")
		case []netip.Prefix:
			text = strings.Join(each(v, netip.Prefix.String), ", ")
		case storage.TxLimits, dispatch.Limits:
			list = settingsOf(list, of, prefix+field.Name+".", value)
			continue
		default:
			continue
		}
		list = append(list, api.Setting{Of: of, Name: prefix + field.Name, Value: text})
	}
	return list
}

// version is that of the program's main module.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}
