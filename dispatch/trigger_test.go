package dispatch_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

var (
	tickCall  = dispatch.InternalMutation[string, dispatch.None]("trigger:tick")
	queryCall = dispatch.Query[dispatch.None, dispatch.None]("trigger:query")
)

func triggerPlanner() dispatch.Planner {
	reg := dispatch.NewRegistry()
	tickCall.Handle(reg, func(*dispatch.MutationCtx, string) (dispatch.None, error) { return dispatch.None{}, nil })
	queryCall.Handle(reg, func(*dispatch.QueryCtx, dispatch.None) (dispatch.None, error) { return dispatch.None{}, nil })
	return dispatch.Planner{Registry: reg, Now: time.Unix(1e9, 0)}
}

func TestG21_PlanFillsInTheDefaults(t *testing.T) {
	plan, err := triggerPlanner().PlanTrigger(dispatch.Trigger{Name: "x", Schedule: cron.Expr("  0   3 * * *"), Call: tickCall.With("a")})
	if err != nil {
		t.Fatal(err)
	}
	if plan.Spec != "0 3 * * *" || plan.Zone != "UTC" || plan.Overlap != storage.OverlapSkip || plan.CatchUp.Mode != storage.CatchUpOne ||
		plan.Function != "trigger:tick" || string(plan.Args) != `"a"` || plan.Retry != nil || plan.Declared || !plan.Next.IsZero() {
		t.Errorf("%+v", plan)
	}
	plan, err = triggerPlanner().PlanTrigger(dispatch.Trigger{
		Name: "x", Schedule: cron.Expr("@every 90s"), Zone: "Europe/Rome", Call: tickCall.With("a"), CatchUp: storage.CatchUp{Mode: storage.CatchUpAll},
		Retry: &dispatch.RetryPolicy{}, Jitter: dispatch.MaxJitter,
	})
	if err != nil || plan.CatchUp.Limit != 100 || plan.Zone != "Europe/Rome" || plan.Retry == nil || plan.Retry.Limit != 5 {
		t.Errorf("%+v, %v", plan, err)
	}
}

// A trigger AtStart has no cadence, and names its apps.
func TestG21_ATriggerAtStartHasNoSpec(t *testing.T) {
	fine := dispatch.Trigger{Name: "x", AtStart: true, Call: tickCall.With("a"), Apps: []storage.AppID{"acme"}}
	plans, err := triggerPlanner().CheckTriggers([]dispatch.Trigger{fine})
	if err != nil || !plans[0].AtStart || plans[0].Spec != "" || plans[0].Zone != "UTC" {
		t.Fatalf("%+v, %v", plans, err)
	}
	if err := dispatch.CheckStored(&plans[0]); err != nil {
		t.Error(err)
	}
	for what, change := range map[string]func(*dispatch.Trigger){
		"AtStart has no schedule, and this one is \"0 3 * * *\"": func(c *dispatch.Trigger) { c.Schedule = cron.Daily(3, 0) },
		"AtStart has no zone":     func(c *dispatch.Trigger) { c.Zone = "UTC" },
		"AtStart has no catch-up": func(c *dispatch.Trigger) { c.CatchUp.Mode = storage.CatchUpNone },
		"AtStart names its apps":  func(c *dispatch.Trigger) { c.Apps = nil },
		"overlap":                 func(c *dispatch.Trigger) { c.Overlap = "x" },
		"trigger name":            func(c *dispatch.Trigger) { c.Name = "a:b" },
	} {
		def := fine
		change(&def)
		if _, err := triggerPlanner().CheckTriggers([]dispatch.Trigger{def}); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%+v: %v, want %q", def, err, what)
		}
	}
	for what, change := range map[string]func(*storage.Trigger){
		"with a spec": func(p *storage.Trigger) { p.Spec = "0 3 * * *" },
		"undeclared":  func(p *storage.Trigger) { p.Declared = false },
		"no spec":     func(p *storage.Trigger) { p.AtStart = false },
	} {
		plan := plans[0]
		change(&plan)
		if dispatch.CheckStored(&plan) == nil {
			t.Errorf("%s is not refused of an import", what)
		}
	}
	if at := cron.Never().Next(time.Time{}); !at.IsZero() || !cron.Never().Last(time.Unix(0, 0), time.Unix(1e9, 0)).IsZero() {
		t.Errorf("never comes at %v", at)
	}
}

func TestG21_PlanRefuses(t *testing.T) {
	fine := dispatch.Trigger{Name: "x", Schedule: cron.Expr("@daily"), Call: tickCall.With("a")}
	for _, tt := range []struct {
		what   string
		change func(*dispatch.Trigger)
		code   dispatch.Code
	}{
		{"name", func(c *dispatch.Trigger) { c.Name = "" }, dispatch.CodeInvalidArgument},
		{"name", func(c *dispatch.Trigger) { c.Name = strings.Repeat("x", 65) }, dispatch.CodeInvalidArgument},
		{"name", func(c *dispatch.Trigger) { c.Name = "a:b" }, dispatch.CodeInvalidArgument},
		{"spec", func(c *dispatch.Trigger) { c.Schedule = cron.Expr("") }, dispatch.CodeInvalidArgument},
		{"month", func(c *dispatch.Trigger) { c.Schedule = cron.Expr("0 0 30 2 *") }, dispatch.CodeInvalidArgument},
		{"zone", func(c *dispatch.Trigger) { c.Zone = "Local" }, dispatch.CodeInvalidArgument},
		{"overlap", func(c *dispatch.Trigger) { c.Overlap = "x" }, dispatch.CodeInvalidArgument},
		{"catch-up", func(c *dispatch.Trigger) { c.CatchUp.Mode = "x" }, dispatch.CodeInvalidArgument},
		{"catch-up", func(c *dispatch.Trigger) { c.CatchUp.Limit = 1 }, dispatch.CodeInvalidArgument},
		{"catch-up", func(c *dispatch.Trigger) { c.CatchUp.Window = -1 }, dispatch.CodeInvalidArgument},
		{"catch-up", func(c *dispatch.Trigger) { c.CatchUp = storage.CatchUp{Mode: storage.CatchUpNone, Window: 1} }, dispatch.CodeInvalidArgument},
		{"catch-up", func(c *dispatch.Trigger) { c.CatchUp = storage.CatchUp{Mode: storage.CatchUpAll, Limit: 1001} }, dispatch.CodeInvalidArgument},
		{"catch-up", func(c *dispatch.Trigger) { c.CatchUp = storage.CatchUp{Mode: storage.CatchUpAll, Limit: -1} }, dispatch.CodeInvalidArgument},
		{"catch-up", func(c *dispatch.Trigger) { c.CatchUp = storage.CatchUp{Mode: storage.CatchUpAll, Window: -1} }, dispatch.CodeInvalidArgument},
		{"jitter", func(c *dispatch.Trigger) { c.Jitter = -1 }, dispatch.CodeInvalidArgument},
		{"jitter", func(c *dispatch.Trigger) { c.Jitter = dispatch.MaxJitter + 1 }, dispatch.CodeInvalidArgument},
		{"", func(c *dispatch.Trigger) { c.Retry = &dispatch.RetryPolicy{MaxAttempts: -1} }, dispatch.CodeInvalidArgument},
		{"", func(c *dispatch.Trigger) { c.Call = dispatch.Path("trigger:query").With(nil) }, dispatch.CodeInvalidArgument},
		{"", func(c *dispatch.Trigger) { c.Call = dispatch.Path("trigger:tick").With(7) }, dispatch.CodeInvalidArgument},
		{"", func(c *dispatch.Trigger) { c.Call = dispatch.Path("trigger:none").With(7) }, dispatch.CodeNotFound},
		{"", func(c *dispatch.Trigger) { c.Call = dispatch.Call{} }, ""},
	} {
		def := fine
		tt.change(&def)
		_, err := triggerPlanner().PlanTrigger(def)
		if err == nil {
			t.Errorf("%+v is not refused", def)
			continue
		}
		if e := dispatch.AsError(err); tt.code != "" && e.Code != tt.code || !strings.Contains(e.Message, tt.what) {
			t.Errorf("%+v: %s: %s, want %s and %q", def, e.Code, e.Message, tt.code, tt.what)
		}
	}
}

func TestG21_CheckNamesEveryFault(t *testing.T) {
	triggers := []dispatch.Trigger{
		{Name: "a", Schedule: cron.Expr("x"), Call: tickCall.With("a")},
		{Name: "b", Schedule: cron.Daily(3, 0), Call: tickCall.With("a")},
		{Name: "b", Schedule: cron.Daily(3, 0), Call: tickCall.With("a")},
		{Name: "c", Schedule: cron.Daily(3, 0), Call: tickCall.With("a"), Apps: []storage.AppID{"ok", ""}},
	}
	_, err := triggerPlanner().CheckTriggers(triggers)
	var faults dispatch.TriggerFaults
	if !errors.As(err, &faults) || len(faults) != 3 {
		t.Fatalf("%v", err)
	}
	for i, name := range []string{"a", "b", "c"} {
		if f := faults[i]; f.Trigger != name || f.Path != "trigger:tick" || f.Reason == "" || f.Err == nil {
			t.Errorf("%+v, want %s", f, name)
		}
	}
	plans, err := triggerPlanner().CheckTriggers(triggers[1:2])
	if err != nil || len(plans) != 1 || !plans[0].Declared {
		t.Errorf("%+v, %v", plans, err)
	}
}

// No app may come to have more triggers than it may, whether they name it or not.
func TestG21_CheckBoundsTheTriggersOfAnApp(t *testing.T) {
	many := func(n int, apps ...storage.AppID) (triggers []dispatch.Trigger) {
		for i := range n {
			triggers = append(triggers, dispatch.Trigger{Name: fmt.Sprintf("%s-%d", strings.Join(append([]string{"t"}, string(append(apps, "all")[0])), "-"), i), Schedule: cron.Daily(3, 0), Call: tickCall.With("a"), Apps: apps})
		}
		return triggers
	}
	for _, tt := range []struct {
		triggers []dispatch.Trigger
		faults   int
	}{
		{many(storage.MaxTriggers), 0},
		{many(storage.MaxTriggers + 1), 1},
		{append(many(999), many(1, "acme")...), 0},
		{append(many(999), many(2, "acme")...), 1},
		{append(many(600, "acme"), many(600, "other")...), 0},
		{append(append(many(600, "acme"), many(600, "other")...), many(401)...), 1},
	} {
		_, err := triggerPlanner().CheckTriggers(tt.triggers)
		var faults dispatch.TriggerFaults
		if errors.As(err, &faults); len(faults) != tt.faults {
			t.Errorf("%d triggers: %d faults, want %d: %v", len(tt.triggers), len(faults), tt.faults, err)
		}
	}
}

// G26: what another store hands over is checked like a definition, but for what is
// known of functions here.
func TestG26_CheckStoredRefusesWhatNoTriggerCanBe(t *testing.T) {
	fine := storage.Trigger{Name: "x", Spec: "0 3 * * *", Zone: "Europe/Rome", Function: "no:such", Overlap: storage.OverlapQueue, CatchUp: storage.CatchUp{Mode: storage.CatchUpAll, Limit: 7}}
	if err := dispatch.CheckStored(&fine); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*storage.Trigger){
		"no such day": func(t *storage.Trigger) { t.Spec = "0 0 30 2 *" },
		"empty":       func(t *storage.Trigger) { t.Spec = "" },
		"Europe/Rome": func(t *storage.Trigger) { t.Zone = "europe/rome" },
		"path":        func(t *storage.Trigger) { t.Function = "no such" },
		"overlap":     func(t *storage.Trigger) { t.Overlap = "always" },
		"catch-up":    func(t *storage.Trigger) { t.CatchUp.Mode = "some" },
		"window":      func(t *storage.Trigger) { t.CatchUp.Mode = storage.CatchUpNone },
		"jitter":      func(t *storage.Trigger) { t.Jitter = dispatch.MaxJitter + 1 },
		"success":     func(t *storage.Trigger) { t.SuccessWithin = -1 },
		"timeout":     func(t *storage.Trigger) { t.Timeout = -1 },
		"identity":    func(t *storage.Trigger) { t.Claims = []byte(`{"subject":7}`) },
	} {
		bad := fine
		change(&bad)
		if err := dispatch.CheckStored(&bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", bad, err, want)
		}
	}
}
