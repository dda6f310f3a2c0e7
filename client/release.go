package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Gate is a held-out set that a candidate must do no worse on than the version that serves.
type Gate struct {
	// Inputs are tensors as in an inference request's JSON, Labels one for each of their rows.
	Inputs json.RawMessage `json:"inputs"`
	Labels []float64       `json:"labels"`
	// Metric is accuracy, auc, brier, logloss, mae or rmse; Output the output to measure, where the model has several.
	Metric string `json:"metric"`
	Output string `json:"output,omitempty"`
	// Margin is by how much the candidate may be worse; nil: a hundredth of the figure of what serves.
	Margin     *float64 `json:"margin,omitempty"`
	Confidence float64  `json:"confidence,omitempty"`
	Rounds     int      `json:"rounds,omitempty"`
}

// GateResult is what a gate measured.
type GateResult struct {
	Metric           string  `json:"metric"`
	Output           string  `json:"output"`
	Rows             int     `json:"rows"`
	StableVersion    int64   `json:"stable_version"`
	CandidateVersion int64   `json:"candidate_version"`
	Stable           float64 `json:"stable"`
	Candidate        float64 `json:"candidate"`
	Better           float64 `json:"better"`
	Low              float64 `json:"low"`
	High             float64 `json:"high"`
	Confidence       float64 `json:"confidence"`
	Margin           float64 `json:"margin"`
	Passed           bool    `json:"passed"`
}

// Promotion says what to promote.
type Promotion struct {
	// Version is a number or an alias; empty means the canary.
	Version string `json:"version,omitempty"`
	// Gate, if nil, is what the server has for the model, if it has one. Force promotes without.
	Gate  *Gate `json:"gate,omitempty"`
	Force bool  `json:"force,omitempty"`
}

// Event is an entry of a model's history.
type Event struct {
	Seq       int64       `json:"seq"`
	Time      time.Time   `json:"time"`
	Action    string      `json:"action"`
	Version   int64       `json:"version"`
	From      int64       `json:"from"`
	Alias     string      `json:"alias"`
	Percent   float64     `json:"percent"`
	Forced    bool        `json:"forced"`
	RequestID string      `json:"request_id"`
	Gate      *GateResult `json:"gate"`
}

// Diff is what differs between two versions.
type Diff struct {
	Model string       `json:"model"`
	From  int64        `json:"from"`
	To    int64        `json:"to"`
	Card  []CardChange `json:"card"`
	Files []FileChange `json:"files"`
}

// CardChange is one place of the model cards; an absent value is nil.
type CardChange struct {
	Path string `json:"path"`
	From any    `json:"from"`
	To   any    `json:"to"`
}

// FileChange is one file; an absent one has no hash.
type FileChange struct {
	Path       string `json:"path"`
	FromSize   int64  `json:"from_size"`
	ToSize     int64  `json:"to_size"`
	FromSHA256 string `json:"from_sha256"`
	ToSHA256   string `json:"to_sha256"`
}

// Release tells what is decided about a model's versions.
func (c *Client) Release(ctx context.Context, model string) (*Release, error) {
	if model == "" {
		return nil, errNoModel
	}
	return get[Release](ctx, c, modelRelease(model)+"/release")
}

// Promote makes a version the one that answers, if it passes its gate. Only ctx bounds the time.
func (c *Client) Promote(ctx context.Context, model string, p Promotion) (*Release, error) {
	return c.decide(ctx, model, "promote", p, false)
}

// Rollback ends a canary, or makes the version stable that was so before.
func (c *Client) Rollback(ctx context.Context, model string) (*Release, error) {
	return c.decide(ctx, model, "rollback", struct{}{}, true)
}

// SetCanary gives a version a share of the requests that name none; 0 percent ends it.
func (c *Client) SetCanary(ctx context.Context, model, version string, percent float64) (*Release, error) {
	return c.decide(ctx, model, "canary", map[string]any{"version": version, "percent": percent}, false)
}

// SetShadow sends a version copies of a share of the requests and compares the answers; 0 percent ends it.
func (c *Client) SetShadow(ctx context.Context, model, version string, percent, tolerance float64) (*Release, error) {
	return c.decide(ctx, model, "shadow", map[string]any{"version": version, "percent": percent, "tolerance": tolerance}, false)
}

// SetAlias gives a version a name; an empty version takes it away.
func (c *Client) SetAlias(ctx context.Context, model, alias, version string) (*Release, error) {
	return c.decide(ctx, model, "alias", map[string]any{"alias": alias, "version": version}, false)
}

func (c *Client) decide(ctx context.Context, model, what string, in any, once bool) (*Release, error) {
	if model == "" {
		return nil, errNoModel
	}
	body, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	path := modelRelease(model) + "/" + what
	a, err := c.send(ctx, &call{method: http.MethodPost, path: path, once: once, patient: true, encode: func(context.Context) ([]byte, int, error) { return body, -1, nil }})
	if err != nil {
		return nil, err
	}
	out := &Release{}
	return out, decodeJSON(a, path, out)
}

// History lists what was done to a model's versions, the latest first.
func (c *Client) History(ctx context.Context, model string, limit int) ([]Event, error) {
	if model == "" {
		return nil, errNoModel
	}
	m, err := get[struct {
		History []Event `json:"history"`
	}](ctx, c, modelRelease(model)+"/history?limit="+strconv.Itoa(limit))
	if err != nil {
		return nil, err
	}
	return m.History, nil
}

// Diff compares two versions, named by number or alias.
func (c *Client) Diff(ctx context.Context, model, from, to string) (*Diff, error) {
	if model == "" {
		return nil, errNoModel
	}
	return get[Diff](ctx, c, modelRelease(model)+"/diff?from="+url.QueryEscape(from)+"&to="+url.QueryEscape(to))
}
