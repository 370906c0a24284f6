package observe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Server serves a run over HTTP: / is the live page, /progress the Progress as
// JSON, /metrics its metrics for Prometheus, /healthz whether all is well.
type Server struct {
	recorder *Recorder
	http     *http.Server
	listener net.Listener
	local    bool
	log      *slog.Logger
	done     sync.WaitGroup
	// waiting bounds the pages that wait for the end.
	waiting chan struct{}
}

const (
	// maxWaiting is how many pages are told of the end the moment it comes; those
	// beyond see it at their next question.
	maxWaiting = 32
	// farewell is how long the end waits for answers that are being sent.
	farewell = 3 * time.Second
)

// Listen begins to serve what the recorder sees, at an address made by Address.
// It fails where the address cannot be had. The caller must Close the server.
func Listen(ctx context.Context, address string, r *Recorder, log *slog.Logger) (*Server, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--listen: cannot serve at %s: %w (another port may be free: --listen 127.0.0.1:0 takes any)", address, err)
	}
	s := &Server{recorder: r, listener: listener, local: loopback(listener.Addr()), log: log, waiting: make(chan struct{}, maxWaiting)}
	s.http = &http.Server{
		Handler: s.guard(s.routes()), ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	log.Info("serving progress", "url", s.URL())
	if !s.local {
		log.Warn("progress is served beyond this machine, to whoever reaches the address and without a password: what it shows are counts, drivers, bucket names and reasons of failures",
			"address", listener.Addr().String())
	}
	s.done.Go(func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("progress is no longer served", "reason", err.Error())
		}
	})
	return s, nil
}

// URL is where the live page is.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() + "/" }

// Close ends the serving: pages that wait for the end are answered when the
// recorder has been told of it, and all requests before it returns, within some
// seconds.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close()
	}
	s.done.Wait()
	return err
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", s.page)
	mux.HandleFunc("/live", s.live)
	mux.HandleFunc("/end", s.end)
	mux.HandleFunc("/progress", s.progress)
	mux.HandleFunc("/healthz", s.health)
	mux.Handle("/metrics", promhttp.HandlerFor(registry(s.recorder.Progress), promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn), MaxRequestsInFlight: 8,
	}))
	return mux
}

// guard is what holds for every request: reading only, no name but this
// machine's own on loopback, and headers that keep browsers from loading
// anything, keeping anything, or showing it inside of another page.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", pagePolicy)
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		case s.local && !local(r.Host):
			http.Error(w, "this server is asked by its address or as localhost", http.StatusMisdirectedRequest)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func (s *Server) progress(w http.ResponseWriter, _ *http.Request) {
	s.writeJSON(w, http.StatusOK, s.recorder.Progress())
}

// health tells whether the run needs somebody's attention: 503 while it is
// paused, and when it has failed.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	p := s.recorder.Progress()
	status := http.StatusOK
	if !p.State.Healthy() {
		status = http.StatusServiceUnavailable
	}
	s.writeJSON(w, status, struct {
		State  State  `json:"state"`
		Reason string `json:"reason"`
	}{p.State, p.Reason})
}

func (s *Server) writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(value); err != nil {
		s.log.Debug("a client went away", "reason", err.Error())
	}
}

// page is the live page.
func (s *Server) page(w http.ResponseWriter, _ *http.Request) {
	s.writeHTML(w, "page")
}

// live is what changes of the page.
func (s *Server) live(w http.ResponseWriter, _ *http.Request) {
	s.writeHTML(w, "live")
}

// end is live, answered when the run is over.
func (s *Server) end(w http.ResponseWriter, r *http.Request) {
	select {
	case s.waiting <- struct{}{}:
		defer func() { <-s.waiting }()
	default:
		http.Error(w, "too many wait for the end", http.StatusServiceUnavailable)
		return
	}
	// As long as the run takes.
	deadlines := http.NewResponseController(w)
	if err := errors.Join(deadlines.SetReadDeadline(time.Time{}), deadlines.SetWriteDeadline(time.Time{})); err != nil {
		s.log.Debug("a client went away", "reason", err.Error())
		return
	}
	select {
	case <-r.Context().Done():
	case <-s.recorder.Ended():
		if err := deadlines.SetWriteDeadline(time.Now().Add(farewell)); err != nil {
			return // the client has gone
		}
		s.live(w, r)
	}
}
