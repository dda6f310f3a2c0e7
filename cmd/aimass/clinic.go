package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/aimass/aimass/appointment/clinic"
	"github.com/aimass/aimass/appointment/clinic/book"
	"github.com/aimass/aimass/appointment/recommend"
	"github.com/aimass/aimass/client"
	"github.com/aimass/aimass/internal/zones"
	"github.com/aimass/aimass/server/logs"
)

// clinicFlags are what `aimass clinic` is told.
type clinicFlags struct {
	server, models, http, store, staff, publicURL string
	demo                                          bool
	speed                                         float64
	// patience with the models.
	patience time.Duration
}

func newClinicCommand() *cobra.Command {
	f := clinicFlags{patience: 10 * time.Second}
	c := &cobra.Command{
		Use:   "clinic [--models DIR | --server URL] [--demo]",
		Short: "Run the example clinic: book by phone, approve as a doctor, FHIR R4",
		Long: `Run a clinic on the appointment models: a page for the phone, one for each doctor, and
FHIR R4 under /fhir. It asks the models through the predict endpoint of --server alone; with
--models it starts that server, too. --demo fills the clinic with people who do not exist and
plays them, with a clock of its own, so that it is open whenever somebody looks; nothing of a
demo is kept.

The doctors' pages and /fhir answer on loopback, or to the staff key that is printed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return runClinic(ctx, f, cmd.OutOrStdout())
		},
	}
	c.Flags().StringVar(&f.server, "server", "http://127.0.0.1:8000", "the server of the models")
	c.Flags().StringVar(&f.models, "models", "", "start the server of the models at the address of --server, with this folder")
	c.Flags().StringVar(&f.http, "http", "127.0.0.1:8080", "address of the clinic [host]:port")
	c.Flags().StringVar(&f.store, "store", "", "the clinic's file, which is made if it is not there")
	c.Flags().StringVar(&f.staff, "clinic", "", "the file of doctors and hours; default recommend/1/clinic.json of --models")
	c.Flags().StringVar(&f.publicURL, "public-url", "", "how phones reach the clinic, for the QR code; default the address of --http")
	c.Flags().BoolVar(&f.demo, "demo", false, "fill the clinic with people who do not exist, and play them")
	c.Flags().Float64Var(&f.speed, "speed", 6, "how many times faster the clock of a demo runs")
	return c
}

func runClinic(ctx context.Context, f clinicFlags, w io.Writer) error {
	if f.staff == "" {
		if f.models == "" {
			return errors.New("no doctors: give --clinic FILE, or --models DIR with the model recommend")
		}
		f.staff = filepath.Join(f.models, "recommend", "1", recommend.FileName)
	}
	if (f.store == "") != f.demo {
		return errors.New("give --store FILE to keep bookings in, or --demo, which keeps nothing")
	}
	if !(f.speed > 0 && f.speed <= 1000) {
		return fmt.Errorf("--speed %v: expected above 0, at most 1000", f.speed)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	raw, err := os.ReadFile(f.staff)
	if err != nil {
		return fmt.Errorf("--clinic: %w", err)
	}
	staff, err := recommend.Read(raw)
	if err != nil {
		return fmt.Errorf("--clinic: %w", err)
	}
	models, err := client.New(f.server, client.Options{Timeout: f.patience, Retry: client.Retry{Attempts: 2}})
	if err != nil {
		return err
	}
	defer models.Close()
	l, err := net.Listen("tcp", f.http)
	if err != nil {
		return err
	}
	defer l.Close()
	if f.publicURL == "" {
		f.publicURL = publicURL(l.Addr().(*net.TCPAddr))
	}
	var work sync.WaitGroup
	failed := make(chan error, 1)
	if f.models != "" {
		work.Go(func() {
			failed <- serveModels(ctx, f)
			cancel()
		})
	}
	err = openClinic(ctx, f, w, staff, models, l, &work)
	cancel()
	work.Wait()
	if f.models != "" {
		err = errors.Join(err, <-failed)
	}
	return err
}

// serveModels is the server of the models, at the address that the clinic asks.
func serveModels(ctx context.Context, f clinicFlags) error {
	s := defaultSettings()
	s.Models, s.GRPC, s.Metrics, s.Grace = f.models, "off", "off", 0
	s.HTTP = strings.TrimSuffix(strings.TrimPrefix(f.server, "http://"), "/")
	return serve(ctx, s, io.Discard)
}

// openClinic opens the ledger and serves until ctx is done.
func openClinic(ctx context.Context, f clinicFlags, w io.Writer, staff *recommend.Clinic, models *client.Client, l net.Listener, work *sync.WaitGroup) error {
	zone, err := zones.Load(staff.Zone)
	if err != nil {
		return err
	}
	c := book.Config{Path: f.store, Zone: zone, Price: func(kind int) int { return 4000 + 1000*kind }}
	if f.demo {
		c.Clock, c.Hold = book.NewDemoClock(demoMorning(time.Now(), zone), f.speed), time.Duration(5*f.speed*float64(time.Minute))
	}
	if f.store == "" {
		dir, err := os.MkdirTemp("", "clinic")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		c.Path, c.NoSync = filepath.Join(dir, "clinic.db"), true
	}
	b, err := book.Open(c)
	if err != nil {
		return err
	}
	defer b.Close()
	if err := waitForClock(ctx, b, w); err != nil {
		return err
	}
	log := logs.New(os.Stderr, logs.Config{Format: "text"})
	s, err := clinic.New(clinic.Config{Book: b, Staff: staff, Models: models, PublicURL: f.publicURL, Demo: f.demo, Version: version, Log: log.Logger})
	if err != nil {
		return err
	}
	if f.demo {
		if err := s.Populate(demoSeed); err != nil {
			return err
		}
	}
	if err := waitForModels(ctx, models); err != nil {
		fmt.Fprintf(w, "the models at %s are not ready (%v): the clinic opens without predictions\n", f.server, err)
	}
	if f.demo {
		work.Go(func() { s.People(ctx, time.Second) })
	}
	fmt.Fprint(w, openText(f, l, s))
	return s.Run(ctx, l)
}

// waitForClock waits while the clock can't be trusted: it stands before a time that the
// file has seen.
func waitForClock(ctx context.Context, b *book.Book, w io.Writer) error {
	for told := false; ; told = true {
		_, err := b.Clock().Now()
		if err == nil {
			return nil
		}
		if !told {
			fmt.Fprintf(w, "waiting: %v\n", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// waitForModels waits while the server of the models starts.
func waitForModels(ctx context.Context, models *client.Client) (err error) {
	for range 150 {
		var ready bool
		if ready, err = models.Ready(ctx); ready {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
	return err
}

// demoMorning is the next Monday at twenty past eight: ten minutes before the doctors of
// the demo begin.
func demoMorning(now time.Time, zone *time.Location) time.Time {
	y, m, d := now.In(zone).Date()
	noon := time.Date(y, m, d, 12, 0, 0, 0, zone)
	day := noon.AddDate(0, 0, (8-int(noon.Weekday()))%7)
	return time.Date(day.Year(), day.Month(), day.Day(), 8, 20, 0, 0, zone)
}

// publicURL is how others reach an address: where it listens on all, by the first address
// of the machine that is not loopback.
func publicURL(a *net.TCPAddr) string {
	host := a.IP.String()
	if a.IP.IsUnspecified() {
		host = "127.0.0.1"
		addrs, _ := net.InterfaceAddrs()
		for _, o := range addrs {
			if n, ok := o.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
				host = n.IP.String()
				break
			}
		}
	}
	return "http://" + net.JoinHostPort(host, fmt.Sprint(a.Port))
}

// openText tells a newcomer where to go.
func openText(f clinicFlags, l net.Listener, s *clinic.Clinic) string {
	local := fmt.Sprintf("http://127.0.0.1:%d", l.Addr().(*net.TCPAddr).Port)
	key := ""
	if host, _, _ := net.SplitHostPort(l.Addr().String()); host != "127.0.0.1" && host != "::1" {
		local, key = f.publicURL, "?key="+s.StaffKey()
	}
	return fmt.Sprintf(`
The clinic is open.
  the poster with the QR code   %s/
  a patient's phone             %s/phone
  a doctor's day                %s/doctor/dr-01%s
  FHIR R4                       %s/fhir/metadata
  the models                    %s

Book on the phone page, approve on the doctor's. Ctrl-C closes it.

`, local, f.publicURL, local, key, local, f.server)
}
