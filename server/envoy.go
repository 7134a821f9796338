package server

import (
	"context"
	"net"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"github.com/guildhall/guildhall"
)

// Envoy makes the gRPC server that Envoy's ext_authz asks about the requests that it holds, and whose health it may ask for
// (grpc.health.v1). It answers what the same gate answers over HTTP, for the configured gateways.
func Envoy(h *guildhall.Hall, c HallConfig) *grpc.Server {
	s := grpc.NewServer(grpc.ConnectionTimeout(10*time.Second), grpc.MaxConcurrentStreams(1000),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute}))
	authv3.RegisterAuthorizationServer(s, c.gate(h).Envoy())
	grpc_health_v1.RegisterHealthServer(s, &health{ready: h.Ready})
	return s
}

// health says over gRPC what /readyz says.
type health struct {
	grpc_health_v1.UnimplementedHealthServer
	ready func(ctx context.Context) error
}

func (h *health) Check(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	status := grpc_health_v1.HealthCheckResponse_SERVING
	if h.ready(ctx) != nil {
		status = grpc_health_v1.HealthCheckResponse_NOT_SERVING
	}
	return &grpc_health_v1.HealthCheckResponse{Status: status}, nil
}

// ServeEnvoy answers until ctx ends, then lets the calls that run end. It closes the listener.
func ServeEnvoy(ctx context.Context, l net.Listener, s *grpc.Server) error {
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	cut := time.AfterFunc(grace, s.Stop)
	defer cut.Stop()
	s.GracefulStop()
	return <-ended
}
