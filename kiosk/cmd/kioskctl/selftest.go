package main

import (
	"fmt"
	"text/tabwriter"

	"loket/kiosk/api"
)

type selfTestCmd struct {
	Device string `arg:"" optional:"" help:"A device by its identity, serial number or kind; every device where left out."`
}

// Run tests devices one after the other.
func (s selfTestCmd) Run(c *call) error {
	st, err := c.client.Status(c.ctx)
	if err != nil {
		return err
	}
	devices, err := chosen(st.Devices, s.Device)
	if err != nil {
		return err
	}
	results, failed := []api.SelfTest{}, 0
	for i, d := range devices {
		if !c.json {
			fmt.Fprintf(c.notes, "[%d/%d] testing %s, %s\n", i+1, len(devices), d.Identity, d.Kind)
		}
		var result api.SelfTest
		if err := c.ask(api.Command{SelfTest: &api.SelfTestQuery{Device: d.Identity}}, &result); err != nil {
			return err
		}
		if results = append(results, result); !result.Passed {
			failed++
		}
		if !c.json {
			c.selfTest(result)
		}
	}
	if err := c.print(results, func() {}); err != nil {
		return err
	}
	if failed > 0 {
		return &api.Error{Code: "self-test-failed", Text: fmt.Sprintf("%d of %d devices failed their self-test", failed, len(devices)),
			Hint: "the lines above say what to do; kioskctl devices shows how they stand"}
	}
	return nil
}

// chosen gives the devices that were asked for by identity, serial number or kind; all where name is empty.
func chosen(all []api.Device, name string) ([]api.Device, error) {
	if name == "" && len(all) > 0 {
		return all, nil
	}
	var list []api.Device
	for _, d := range all {
		if name != "" && (d.Identity == name || d.Serial == name || d.Kind == name) {
			list = append(list, d)
		}
	}
	switch {
	case len(all) == 0:
		return nil, &api.Error{Code: "no-device", Text: "no device was seen here", Hint: "check cables and power"}
	case len(list) == 0:
		return nil, &api.Error{Code: "no-device", Text: fmt.Sprintf("no device is %q", name), Hint: "kioskctl devices lists them"}
	}
	return list, nil
}

func (c *call) selfTest(t api.SelfTest) {
	word := map[bool]string{true: "passed", false: "FAILED"}
	fmt.Fprintf(c.out, "%s  %s  %s in %.1f s\n", t.Device.Identity, t.Device.Kind, word[t.Passed], t.Seconds)
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	for _, check := range t.Checks {
		fmt.Fprintf(w, "  %s\t%s\t%s\n", check.Name, word[check.Passed], check.Detail)
	}
	_ = w.Flush()
	if !t.Passed {
		c.trouble(t.Device)
	}
}
