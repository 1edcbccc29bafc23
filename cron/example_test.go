package cron_test

import (
	"fmt"
	"time"

	"carillon/cron"
)

func ExampleSpec_Compile() {
	nightly, err := cron.Daily(3, 0).Compile("Europe/Rome")
	if err != nil {
		fmt.Println(err)
		return
	}
	last := time.Date(2026, 3, 28, 2, 0, 0, 0, time.UTC)
	fmt.Println(nightly.Describe())
	fmt.Println(nightly.Next(last).Format(time.RFC3339))

	_, err = cron.Expr("0 25 * * *").Compile("Europe/Rome")
	fmt.Println(err)
	// Output:
	// at 03:00 every day, Europe/Rome
	// 2026-03-29T03:00:00+02:00
	// spec "0 25 * * *": hour: 25 is above 23
}

func ExampleSchedule_WithAnchor() {
	sweep, err := cron.Every(90 * time.Minute).Compile("")
	if err != nil {
		fmt.Println(err)
		return
	}
	created := time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC)
	sweep = sweep.WithAnchor(created)
	// A restart at any moment finds the same slots.
	fmt.Println(sweep.Describe())
	fmt.Println(sweep.Next(created.Add(100 * time.Minute)).Format(time.RFC3339))
	fmt.Println(sweep.Next(created.Add(3 * time.Hour)).Format(time.RFC3339))
	// Output:
	// every 1 hour 30 minutes from 2026-01-01 10:00:00, UTC
	// 2026-01-01T13:00:00Z
	// 2026-01-01T14:30:00Z
}

func ExampleSchedule_Next() {
	// The last weekday of the month, in a zone without a midnight on one of them.
	s, err := cron.Expr("0 0 LW * *").Compile("Africa/Cairo")
	if err != nil {
		fmt.Println(err)
		return
	}
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for range 3 {
		at = s.Next(at)
		fmt.Println(at.Format(time.RFC3339))
	}
	// Output:
	// 2026-03-31T00:00:00+02:00
	// 2026-04-30T00:00:00+03:00
	// 2026-05-29T00:00:00+03:00
}
