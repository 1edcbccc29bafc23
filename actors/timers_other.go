//go:build !linux

package actors

import "errors"

func newTimerSource() (timerSource, error) { return nil, errors.ErrUnsupported }
