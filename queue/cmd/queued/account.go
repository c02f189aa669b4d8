package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"

	"loket/queue"
	"loket/queue/store"
)

// accountCommand has what is done with accounts. Passwords come on standard input: an argument would be seen by others.
type accountCommand struct {
	Add      accountAdd      `cmd:"" help:"Add an account; the password is read from standard input."`
	Password accountPassword `cmd:"" help:"Set a password anew, read from standard input; signs the account out."`
	Disable  accountDisable  `cmd:"" help:"Keep an account from signing in; signs it out."`
	Enable   accountEnable   `cmd:"" help:"Let an account sign in again."`
	List     accountList     `cmd:"" help:"List the accounts."`
}

// accounts is what a command on accounts works with.
type accounts struct {
	ctx   context.Context
	store *store.Store
	in    io.Reader
	out   io.Writer
}

type accountAdd struct {
	Login string   `arg:"" help:"What the person types to sign in."`
	Roles []string `arg:"" help:"ROLE@ORGANISATION, as in immigration-officer@immigration-service; attendant and supervisor stand alone."`
}

// Run adds the account.
func (c *accountAdd) Run(a *accounts) error {
	account := queue.Account{Login: c.Login}
	for _, text := range c.Roles {
		m, err := queue.ParseMembership(text)
		if err != nil {
			return err
		}
		account.Roles = append(account.Roles, m)
	}
	password, err := a.password()
	if err != nil {
		return err
	}
	id, err := a.store.AddAccount(a.ctx, account, password)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.out, id)
	return err
}

type accountPassword struct {
	Login string `arg:""`
}

// Run sets the password.
func (c *accountPassword) Run(a *accounts) error {
	password, err := a.password()
	if err != nil {
		return err
	}
	return a.store.SetPassword(a.ctx, c.Login, password)
}

type accountDisable struct {
	Login string `arg:""`
}

// Run disables the account.
func (c *accountDisable) Run(a *accounts) error { return a.store.Disable(a.ctx, c.Login, true) }

type accountEnable struct {
	Login string `arg:""`
}

// Run enables the account.
func (c *accountEnable) Run(a *accounts) error { return a.store.Disable(a.ctx, c.Login, false) }

type accountList struct{}

// Run lists the accounts.
func (accountList) Run(a *accounts) error {
	list, err := a.store.Accounts(a.ctx)
	if err != nil {
		return err
	}
	for _, account := range list {
		var roles []string
		for _, m := range account.Roles {
			roles = append(roles, string(m.Role)+"@"+m.Organisation)
		}
		state := "enabled"
		if account.Disabled {
			state = "disabled"
		}
		if _, err := fmt.Fprintf(a.out, "%s\t%s\t%s\t%s\n", account.ID, account.Login, state, strings.Join(roles, " ")); err != nil {
			return err
		}
	}
	return nil
}

// password reads one line.
func (a *accounts) password() (string, error) {
	line, err := bufio.NewReader(io.LimitReader(a.in, 1024)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", fmt.Errorf("reading the password: standard input has none (hint: queued account add … <FILE, or type it and press enter)")
	}
	return line, nil
}
