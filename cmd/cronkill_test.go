package cmd

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"carillon/server/api"
)

// cronsURL is where the process serves the triggers of the tests' app.
func (p *process) cronsURL() string {
	return strings.TrimSuffix(p.url, "/functions/") + "/crons"
}

// mustTrigger asks for a trigger, or changes it, and returns what it is then.
func (p *process) mustTrigger(t *testing.T, client *http.Client, method, path, body string) api.Cron {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, p.cronsURL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Result api.Cron }
	if err := json.Unmarshal(data, &answer); err != nil || resp.StatusCode >= 300 {
		t.Fatalf("%s %s: got %d %s, %v", method, path, resp.StatusCode, data, err)
	}
	return answer.Result
}

// TestG20_KillWhileTicking kills the server again and again while a trigger ticks
// every second and catches up on all that it missed: each slot has ended, and
// each has counted once.
func TestG20_KillWhileTicking(t *testing.T) {
	binary, dir, client := mustBuild(t), filepath.Join(t.TempDir(), "data"), mustClient(t)
	p := mustStart(t, binary, dir)
	p.mustTrigger(t, client, http.MethodPost, "", `{"name":"second","spec":"* * * * * *","catchUp":{"mode":"all"},
		"function":"counters:bump","args":{"key":"slots"}}`)
	for range kills {
		// Half of the kills come around a slot, where the claim is being written.
		life := time.Duration(rand.Int64N(int64(1500 * time.Millisecond)))
		if rand.IntN(2) == 0 {
			life = time.Until(time.Now().Truncate(time.Second).Add(950*time.Millisecond + time.Duration(rand.Int64N(int64(100*time.Millisecond)))))
		}
		pause(t, life)
		p.kill()
		p = mustStart(t, binary, dir)
	}
	pause(t, 1100*time.Millisecond)
	p.mustTrigger(t, client, http.MethodPost, "/second/pause", "{}")
	slots := p.mustTrigger(t, client, http.MethodGet, "/second?slots=200", "").Slots
	if len(slots) < 2 {
		t.Fatalf("the slots are %+v", slots)
	}
	fired := 0
	for i, slot := range slots {
		switch {
		case slot.Outcome == api.SlotFired:
			fired++
		case slot.Outcome != api.SlotSkipped || !strings.HasPrefix(slot.Reason, "paused"):
			t.Errorf("slot %+v", slot)
		}
		if i > 0 && !slot.To.Add(time.Second).Equal(slots[i-1].From) {
			t.Errorf("between %v and %v a slot is missing", slot.To, slots[i-1].From)
		}
	}
	late := 0
	for _, slot := range slots {
		if strings.HasPrefix(slot.Reason, "missed") {
			late++
		}
	}
	t.Logf("%d slots fired, %d of them late", fired, late)
	eventually(t, "every slot that was fired has counted", func() bool {
		got, err := query[struct{ Count int }](client, p, "counters:get", `{"key":"slots"}`)
		if err != nil || got.Count > fired {
			t.Fatalf("counted %d, want %d: %v", got.Count, fired, err)
		}
		return got.Count == fired
	})
	if shown := fmt.Sprint(p.mustTrigger(t, client, http.MethodGet, "/second", "").Next); shown != "[]" {
		t.Errorf("paused, it has the slots %s to come", shown)
	}
	p.kill()
	mustBeWhole(t, dir)
}
