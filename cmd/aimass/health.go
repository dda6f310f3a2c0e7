package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/aimass/aimass/client"
)

func newHealthCommand() *cobra.Command {
	var addr string
	c := &cobra.Command{
		Use:   "health",
		Short: "Exit 0 if a server is ready, for container health checks",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := client.New("http://"+addr, client.Options{Timeout: 2 * time.Second})
			if err != nil {
				return err
			}
			defer c.Close()
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			ready, err := c.Ready(ctx)
			if err == nil && !ready {
				err = errors.New("the server is not ready")
			}
			return unreached(err, "http://"+addr, "--http")
		},
	}
	c.Flags().StringVar(&addr, "http", "127.0.0.1:8000", "the server's HTTP address")
	return c
}
