package sample

import (
	"crypto/rand"
	"math/big"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// Password is a document of the table passwords: one that is good once, and not for long.
type Password struct {
	UserID   string    `json:"userId"`
	Digits   string    `json:"digits"`
	EndsAt   time.Time `json:"endsAt"`
	MailedAt time.Time `json:"mailedAt,omitzero"`
	Outage   time.Time `json:"outage,omitzero"` // until when the mail server is down, for a demonstration
}

// passwordLasts is how long a password is good.
const passwordLasts = 5 * time.Minute

type (
	requestPassword struct {
		UserID string `json:"userId"`
		Outage int    `json:"outage,omitempty"` // of the mail server, in seconds
	}
	requested struct {
		PasswordID storage.ID[Password] `json:"passwordId"`
		JobID      storage.JobID        `json:"jobId"`
	}
	passwordRef struct {
		PasswordID storage.ID[Password] `json:"passwordId"`
	}
	redeem struct {
		PasswordID storage.ID[Password] `json:"passwordId"`
		Digits     string               `json:"digits"`
	}
)

var (
	passwords = storage.NewTable[Password]("passwords")

	otpRequest = dispatch.Mutation[requestPassword, requested]("otp:request")
	otpRedeem  = dispatch.Mutation[redeem, bool]("otp:redeem")
	otpRead    = dispatch.InternalQuery[passwordRef, Password]("otp:read")
	otpMail    = dispatch.InternalAction[passwordRef, dispatch.None]("otp:mail",
		dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 10, Base: 5 * time.Second}))
	otpMailed = dispatch.InternalMutation[passwordRef, dispatch.None]("otp:mailed")
)

func handleOTP(reg *dispatch.Registry) {
	// The mail is sent while the password is good, or not at all: none comes two days late
	// because the mail server, or this program, was down.
	otpRequest.Handle(reg, func(ctx *dispatch.MutationCtx, args requestPassword) (requested, error) {
		if err := checkText("userId", args.UserID); err != nil {
			return requested{}, err
		}
		if err := checkCount("outage", args.Outage, 0, 86_400); err != nil {
			return requested{}, err
		}
		digits, err := sixDigits()
		if err != nil {
			return requested{}, err
		}
		endsAt := ctx.Now.Add(passwordLasts)
		id, err := passwords.Insert(ctx.DB, Password{
			UserID: args.UserID, Digits: digits, EndsAt: endsAt, Outage: ctx.Now.Add(time.Duration(args.Outage) * time.Second),
		})
		if err != nil {
			return requested{}, err
		}
		job, err := ctx.Scheduler.RunAfter(0, otpMail.With(passwordRef{id}), dispatch.NotAfter(endsAt))
		return requested{id, job}, err
	})

	otpMail.Handle(reg, func(ctx *dispatch.ActionCtx, args passwordRef) (dispatch.None, error) {
		p, err := otpRead.Run(ctx, args)
		if err != nil {
			return dispatch.None{}, err
		}
		if ctx.Now.Before(p.Outage) {
			return dispatch.None{}, dispatch.Errorf(dispatch.CodeUnavailable, "the mail server is down")
		}
		// A real app hands the digits to its mail server here, under the job's key.
		return otpMailed.Run(ctx, args)
	})

	otpMailed.Handle(reg, func(ctx *dispatch.MutationCtx, args passwordRef) (dispatch.None, error) {
		return dispatch.None{}, passwords.Patch(ctx.DB, args.PasswordID, func(p *Password) error {
			p.MailedAt = ctx.Now
			return nil
		})
	})

	otpRead.Handle(reg, func(ctx *dispatch.QueryCtx, args passwordRef) (Password, error) {
		return passwords.Get(ctx.DB, args.PasswordID)
	})

	// A password is good once, and until it ends.
	otpRedeem.Handle(reg, func(ctx *dispatch.MutationCtx, args redeem) (bool, error) {
		p, err := passwords.Get(ctx.DB, args.PasswordID)
		if err != nil {
			return false, err
		}
		if p.Digits != args.Digits || ctx.Now.After(p.EndsAt) {
			return false, nil
		}
		return true, passwords.Delete(ctx.DB, args.PasswordID)
	})
}

func sixDigits() (string, error) {
	n, err := rand.Int(rand.Reader, big.NewInt(900_000))
	if err != nil {
		return "", err
	}
	return n.Add(n, big.NewInt(100_000)).String(), nil
}
