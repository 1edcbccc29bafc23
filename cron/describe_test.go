package cron_test

import (
	"strings"
	"testing"
	"time"

	"carillon/cron"
)

func TestDescribe(t *testing.T) {
	for line, text := range mustLines(t, "describe.txt") {
		expr, want, ok := strings.Cut(text, " | ")
		if !ok {
			t.Fatalf("describe.txt:%d: %q", line, text)
		}
		s := mustCompile(t, cron.Expr(expr), "Europe/Rome")
		if got := s.Describe(); got != want+", Europe/Rome" {
			t.Errorf("describe.txt:%d: %q is %q, want %q", line, expr, got, want)
		}
	}
}

func TestDescribeNamesZoneAndAnchor(t *testing.T) {
	for _, tt := range []struct {
		spec cron.Spec
		zone string
		at   time.Time
		want string
	}{
		{cron.Daily(3, 0), "", time.Time{}, "at 03:00 every day, UTC"},
		{cron.Every(time.Hour), "Asia/Tokyo", time.Unix(0, 0), "every hour, Asia/Tokyo"},
		{cron.Every(time.Hour), "Asia/Tokyo", time.UnixMilli(1500), "every hour from 1970-01-01 09:00:01.5, Asia/Tokyo"},
		{cron.Every(26*time.Hour + time.Second), "", time.Unix(86400, 0), "every 26 hours 1 second from 1970-01-02 00:00:00, UTC"},
	} {
		if got := mustCompile(t, tt.spec, tt.zone).WithAnchor(tt.at).Describe(); got != tt.want {
			t.Errorf("%v from %v is %q, want %q", tt.spec, tt.at, got, tt.want)
		}
	}
}

func TestStrings(t *testing.T) {
	for spec, want := range map[cron.Spec]string{
		cron.Hourly(5):                      "5 * * * *",
		cron.Daily(3, 30):                   "30 3 * * *",
		cron.Weekly(time.Monday, 9, 0):      "0 9 * * 1",
		cron.Monthly(15, 0, 5):              "5 0 15 * *",
		cron.Every(90 * time.Second):        "@every 1m30s",
		cron.Every(1500 * time.Millisecond): "@every 1.5s",
		cron.Expr(" 0\t9   * *  Mon-FRI "):  "0 9 * * Mon-FRI",
		cron.Expr("@Daily"):                 "@Daily",
	} {
		if got := spec.String(); got != want {
			t.Errorf("String of %q = %q, want %q", spec, got, want)
		}
		if got := mustCompile(t, spec, "Europe/Rome").String(); got != want+" (Europe/Rome)" {
			t.Errorf("String of the schedule = %q", got)
		}
	}
}
