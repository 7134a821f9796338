package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/billing/stripe"
	"github.com/guildhall/guildhall/cmd/guildhall/internal/config"
	"github.com/guildhall/guildhall/cmd/guildhall/internal/start"
	"github.com/guildhall/guildhall/internal/demo"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/server"
)

// serve runs an installation until ctx ends.
func serve(ctx context.Context, p process) error {
	c, err := config.Load(p.args, p.environ)
	if err != nil {
		return usageError{err}
	}
	log := logger(c, p.stderr)
	listener, err := server.Listen(c.Addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	metrics, post := server.NewMetrics(), &start.Post{Next: c.Mail()}
	hallConfig, err := hallConfigOf(c, log)
	if err != nil {
		return err
	}
	hallConfig.Mail, hallConfig.Observe = post, metrics.Observe
	hallConfig.Peers = guildhall.Peers{Listen: c.PeerAddr, Address: c.PeerAddress, Name: c.ServerName, Waited: metrics.Waited}
	hallConfig.Canary = guildhall.Canary{Every: c.Canary, Tried: metrics.Tried}
	payments, err := takeMoney(c, &hallConfig, log)
	if err != nil {
		return err
	}
	hall, err := guildhall.Open(ctx, hallConfig)
	if err != nil {
		return err
	}
	metrics.Watch(hall)
	page, err := firstOwner(c, hall, post, log)
	if err == nil {
		err = errors.Join(keepCharter(c.DataDir, c.Charter), greet(ctx, p, c, hall, page))
	}
	if err != nil {
		return errors.Join(err, hall.Close())
	}
	operator := operatorWork(c.DataDir, hall, log)
	err = together(ctx, hall.Run, func(ctx context.Context) error {
		return together(ctx, operator, func(ctx context.Context) error {
			return listenAndServe(ctx, c, hall, server.ServeConfig{Listener: listener, Handler: handlerOf(c, hall, page, payments, metrics, log),
				Ending: hall.Service().EndWatches, Log: log}, metrics)
		})
	})
	return errors.Join(err, hall.Close())
}

// hallConfigOf is what the configuration says of a hall. It makes the data folder.
func hallConfigOf(c *config.Loaded, log *slog.Logger) (guildhall.Config, error) {
	model, err := loadCharter(c.Charter)
	if err != nil {
		return guildhall.Config{}, fmt.Errorf("charter: %w", err)
	}
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return guildhall.Config{}, fmt.Errorf("data_dir: %w", err)
	}
	return guildhall.Config{Database: c.Database, SecretFile: c.SecretFile, Charter: model, Settings: c.OpSettings(),
		Limits: c.Limits(), Log: log, Artifacts: c.Artifacts, MaxArtifact: int64(c.ArtifactMaxMegabytes) << 20,
		Social: c.Social(), Outbound: c.Outbound(), Resolver: c.Resolver()}, nil
}

// takeMoney lets Stripe take the money where it is configured; nil: nobody does.
func takeMoney(c *config.Loaded, h *guildhall.Config, log *slog.Logger) (*stripe.Provider, error) {
	if c.StripeKey == "" {
		return nil, nil //nolint:nilnil // no provider is no mistake
	}
	sold := c.Stripe()
	sold.Charter, sold.Log = h.Charter, log
	payments, err := stripe.New(sold)
	h.Billing = guildhall.Billing{Name: stripe.Name, Provider: payments}
	return payments, err
}

// firstOwner makes the page of the first owner.
func firstOwner(c *config.Loaded, hall *guildhall.Hall, post *start.Post, log *slog.Logger) (*start.Page, error) {
	ring, err := secret.OpenRing(c.SecretFile)
	if err != nil {
		return nil, err
	}
	if post.Next == nil {
		log.Warn("no mail server is configured: nobody else can sign in; set smtp_host")
	}
	return start.New(start.Config{Service: hall.Service(), Secrets: ring, Post: post, BaseURL: c.BaseURL, Log: log}), nil
}

// greet says where the server is, and how the first owner gets in where nobody is yet.
func greet(ctx context.Context, p process, c *config.Loaded, hall *guildhall.Hall, page *start.Page) error {
	fmt.Fprintf(p.stdout, "Guildhall serves %s at %s\n", hall.Charter().Product, c.BaseURL)
	vacant, err := page.Vacant(ctx)
	if err != nil || !vacant {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "Nobody is here yet. The first owner opens:\n  %s\n", page.Link())
	return err
}

func handlerOf(c *config.Loaded, hall *guildhall.Hall, page *start.Page, payments *stripe.Provider, metrics *server.Metrics, log *slog.Logger) http.Handler {
	faces := facesOf(c, metrics, log)
	faces.Stripe, faces.DocsEditURL, faces.Extra = payments, c.DocsEditURL, map[string]http.Handler{start.Path: page}
	return server.ForHall(hall, faces)
}

// facesOf is what all faces of a hall have in common.
func facesOf(c *config.Loaded, metrics *server.Metrics, log *slog.Logger) server.HallConfig {
	proxies, _ := c.Proxies() // checked with the configuration, as the gateways are
	gateways, _ := c.GatewayNetworks()
	return server.HallConfig{BaseURL: c.BaseURL, TrustedProxies: proxies, Gateways: gateways, Metrics: metrics, Log: log}
}

// listenAndServe serves, and Envoy and metrics where they are wanted, until ctx ends or one of them fails.
func listenAndServe(ctx context.Context, c *config.Loaded, hall *guildhall.Hall, s server.ServeConfig, m *server.Metrics) error {
	serve := func(ctx context.Context) error { return server.Serve(ctx, s) }
	serve = beside(serve, "metrics_addr", c.MetricsAddr, func(ctx context.Context, l net.Listener) error {
		return server.Serve(ctx, server.ServeConfig{Listener: l, Handler: m.Handler(), Log: s.Log})
	})
	serve = beside(serve, "envoy_addr", c.EnvoyAddr, func(ctx context.Context, l net.Listener) error {
		return server.ServeEnvoy(ctx, l, server.Envoy(hall, facesOf(c, m, s.Log)))
	})
	return serve(ctx)
}

// beside serves at the address of a setting too while main does; at none, if it is empty.
func beside(main func(ctx context.Context) error, setting, addr string, serve func(ctx context.Context, l net.Listener) error) func(ctx context.Context) error {
	if addr == "" {
		return main
	}
	return func(ctx context.Context) error {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return fmt.Errorf("%s: %w", setting, err)
		}
		return together(ctx, func(ctx context.Context) error { return serve(ctx, l) }, main)
	}
}

// together runs work beside main, and ends it when main has ended: requests that are being answered still have it. Main
// ends too, should the work fail.
func together(ctx context.Context, work, main func(ctx context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	working, end := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() {
		defer stop()
		ended <- work(working)
	}()
	err := main(ctx)
	end()
	return errors.Join(err, <-ended)
}

func logger(c *config.Loaded, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(strings.ToUpper(c.LogLevel))) // one of the setting's choices
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// doctor lists every rule that the data breaks.
func doctor(ctx context.Context, p process) error {
	c, err := config.Load(p.args, p.environ)
	if err != nil {
		return usageError{err}
	}
	hallConfig, err := hallConfigOf(c, logger(c, p.stderr))
	if err != nil {
		return err
	}
	hallConfig.Demo = demo.Owns(c.DataDir)
	if _, err := os.Stat(hallConfig.SecretFile); err != nil {
		return fmt.Errorf("nothing to look at: %w", err) // and nothing is made, as a server would
	}
	hall, err := guildhall.Open(ctx, hallConfig)
	if err != nil {
		return err
	}
	broken, err := hall.Doctor(ctx)
	if err == nil && c.DoctorFiles > 0 {
		var files []string
		files, err = hall.DoctorFiles(ctx, c.DoctorFiles)
		broken = append(broken, files...)
	}
	if err := errors.Join(err, hall.Close()); err != nil {
		return err
	}
	for _, rule := range broken {
		fmt.Fprintln(p.stdout, rule)
	}
	if len(broken) > 0 {
		return fmt.Errorf("%d rules do not hold", len(broken))
	}
	_, err = fmt.Fprintln(p.stdout, "every rule holds")
	return err
}
