package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// counts is what the service counts. Labels are codes; ids of records, tickets and stations are never among them.
type counts struct {
	registry *prometheus.Registry
	outcomes *prometheus.CounterVec
	bytes    prometheus.Counter
}

func newCounts() *counts {
	c := &counts{
		registry: prometheus.NewRegistry(),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "loket_central_requests_ended_total", Help: "Records received, and refusals by code."}, []string{"outcome"}),
		bytes:    prometheus.NewCounter(prometheus.CounterOpts{Name: "loket_central_received_bytes_total", Help: "Bytes of the records that were receipted."}),
	}
	c.registry.MustRegister(c.outcomes, c.bytes, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return c
}

func (c *counts) observe(outcome string, bytes int64) {
	c.outcomes.WithLabelValues(outcome).Inc()
	c.bytes.Add(float64(bytes))
}

// serve serves the metrics on a loopback address until ctx ends.
func (c *counts) serve(ctx context.Context, address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("serving metrics: %w (hint: metrics in the configuration names the address)", err)
	}
	server := &http.Server{Handler: promhttp.HandlerFor(c.registry, promhttp.HandlerOpts{}), ReadHeaderTimeout: 5 * time.Second}
	return serve(ctx, server, func() error { return server.Serve(listener) })
}
