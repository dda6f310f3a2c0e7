package client

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// TrainingRequest asks for a training job.
type TrainingRequest struct {
	// Trainer is gbdt, linear, mlp, command, compress or another that Trainers lists; Model gets a new version. The
	// parameter base names what compress compresses, such as minilm/2.
	Trainer string       `json:"trainer"`
	Model   string       `json:"model,omitempty"`
	Data    TrainingData `json:"data"`
	// Target is the column to predict; Types declares columns as numeric, categorical or ignore.
	Target string            `json:"target,omitempty"`
	Types  map[string]string `json:"types,omitempty"`
	// Weight, Order and Group name the columns of the rows' weights, of their order, and of what must not be torn apart.
	Weight string `json:"weight,omitempty"`
	Order  string `json:"order,omitempty"`
	Group  string `json:"group,omitempty"`
	// Missing lists the texts that stand for a missing value, instead of the usual ones.
	Missing    []string          `json:"missing,omitempty"`
	Parameters map[string]string `json:"parameters,omitempty"`
	Seed       uint64            `json:"seed,omitempty"`
	// Load has the server load the model once the job has succeeded.
	Load bool `json:"load,omitempty"`
}

// TrainingData names the data by one of the first four. Requests are bodies of inference requests, which a compression
// is calibrated and compared with.
type TrainingData struct {
	Snapshot string            `json:"snapshot,omitempty"`
	Path     string            `json:"path,omitempty"`
	CSV      string            `json:"csv,omitempty"`
	Requests []json.RawMessage `json:"requests,omitempty"`
	SHA256   string            `json:"sha256,omitempty"`
}

// TrainingJob is a job as the server has it.
type TrainingJob struct {
	ID string `json:"id"`
	// State is queued, running, succeeded, failed or cancelled.
	State    string          `json:"state"`
	Created  time.Time       `json:"created"`
	Started  *time.Time      `json:"started"`
	Ended    *time.Time      `json:"ended"`
	Attempts int             `json:"attempts"`
	Request  TrainingRequest `json:"request"`
	Progress *TrainingLine   `json:"progress"`
	Result   *TrainingResult `json:"result"`
	// Error says why a job failed or was cancelled.
	Error *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// Done reports whether the job has ended.
func (j *TrainingJob) Done() bool {
	return j.State == "succeeded" || j.State == "failed" || j.State == "cancelled"
}

// TrainingResult is what a job has made.
type TrainingResult struct {
	Model   string           `json:"model"`
	Version int              `json:"version"`
	Metrics []TrainingMetric `json:"metrics"`
	Seconds float64          `json:"seconds"`
}

// TrainingMetric is a figure with its 95 % interval and bar.
type TrainingMetric struct {
	Name   string  `json:"name"`
	Set    string  `json:"set"`
	Value  float64 `json:"value"`
	Low    float64 `json:"low95"`
	High   float64 `json:"high95"`
	Gate   string  `json:"gate"`
	Passed bool    `json:"passed"`
}

// TrainingLine is a line of a job's log.
type TrainingLine struct {
	Time    time.Time `json:"time"`
	Stage   string    `json:"stage"`
	Step    int       `json:"step"`
	Steps   int       `json:"steps"`
	Message string    `json:"message"`
}

// Snapshot describes stored training data; Columns have their statistics as JSON. Kind is table or requests.
type Snapshot struct {
	Kind    string            `json:"kind"`
	ID      string            `json:"id"`
	Name    string            `json:"name"`
	Created time.Time         `json:"created"`
	Bytes   int64             `json:"bytes"`
	Rows    int               `json:"rows"`
	Columns []json.RawMessage `json:"columns"`
}

// Drift tells how far what a version was asked lately is from its training data.
type Drift struct {
	Model        string         `json:"model"`
	Version      string         `json:"version"`
	Policy       string         `json:"policy"`
	Rows         int            `json:"rows"`
	TrainingRows int            `json:"training_rows"`
	Features     []FeatureDrift `json:"features"`
	Drifted      bool           `json:"drifted"`
	Prediction   *struct {
		Rows         int     `json:"rows"`
		Mean         float64 `json:"mean"`
		Low          float64 `json:"low95"`
		High         float64 `json:"high95"`
		TrainingMean float64 `json:"training_mean"`
	} `json:"prediction"`
}

// FeatureDrift is the drift of one feature.
type FeatureDrift struct {
	Name         string  `json:"name"`
	Kind         string  `json:"kind"`
	PSI          float64 `json:"psi"`
	KS           float64 `json:"ks"`
	KSLimit      float64 `json:"ks_limit"`
	MissingShare float64 `json:"missing_share"`
	Missing      int64   `json:"violations_missing"`
	OutOfRange   int64   `json:"violations_out_of_range"`
	Unknown      int64   `json:"violations_unknown_category"`
	Drifted      bool    `json:"drifted"`
}

const trainingPath = "/v2/train/"

// Trainers lists the trainers that the server has.
func (c *Client) Trainers(ctx context.Context) ([]string, error) {
	m, err := get[struct{ Trainers []string }](ctx, c, "/v2/train")
	if err != nil {
		return nil, err
	}
	return m.Trainers, nil
}

// Train makes a training job. It is sent once: a repetition would be a second job.
func (c *Client) Train(ctx context.Context, r *TrainingRequest) (*TrainingJob, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	a, err := c.send(ctx, &call{method: http.MethodPost, path: trainingPath + "jobs", once: true, encode: func(context.Context) ([]byte, int, error) { return body, -1, nil }})
	if err != nil {
		return nil, err
	}
	j := &TrainingJob{}
	return j, decodeJSON(a, trainingPath+"jobs", j)
}

func jobPath(id string) string { return trainingPath + "jobs/" + url.PathEscape(id) }

// TrainingJob describes a job.
func (c *Client) TrainingJob(ctx context.Context, id string) (*TrainingJob, error) {
	return get[TrainingJob](ctx, c, jobPath(id))
}

// TrainingJobs lists all jobs, the newest first.
func (c *Client) TrainingJobs(ctx context.Context) ([]TrainingJob, error) {
	m, err := get[struct{ Jobs []TrainingJob }](ctx, c, trainingPath+"jobs")
	if err != nil {
		return nil, err
	}
	return m.Jobs, nil
}

// CancelTraining cancels a job; one that runs ends soon after.
func (c *Client) CancelTraining(ctx context.Context, id string) (*TrainingJob, error) {
	a, err := c.post(ctx, jobPath(id)+"/cancel", []byte("{}"))
	if err != nil {
		return nil, err
	}
	j := &TrainingJob{}
	return j, decodeJSON(a, jobPath(id), j)
}

// FollowTraining calls f with every line of a job's log until the job ends, and describes it then. Only ctx bounds the time.
func (c *Client) FollowTraining(ctx context.Context, id string, f func(TrainingLine)) (*TrainingJob, error) {
	path := jobPath(id) + "/logs?follow=true"
	r, err := c.request(ctx, &call{method: http.MethodGet, path: path})
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, err := c.read(resp)
		if err != nil {
			return nil, fmt.Errorf("client: GET %s: %w", path, err)
		}
		return nil, answerError(&answer{status: resp.StatusCode, header: resp.Header, body: body})
	}
	s := bufio.NewScanner(resp.Body)
	s.Buffer(nil, 1<<20)
	last := false
	for s.Scan() {
		last = last || s.Text() == "event: end"
		data, ok := strings.CutPrefix(s.Text(), "data: ")
		var line TrainingLine
		if ok && !last && json.Unmarshal([]byte(data), &line) == nil {
			f(line)
		}
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("client: GET %s: %w", path, err)
	}
	return c.TrainingJob(ctx, id)
}

// TrainingArtefacts lists the files that a job has left.
func (c *Client) TrainingArtefacts(ctx context.Context, id string) ([]string, error) {
	m, err := get[struct{ Artefacts []string }](ctx, c, jobPath(id)+"/artefacts")
	if err != nil {
		return nil, err
	}
	return m.Artefacts, nil
}

// TrainingArtefact gives one of these files, within Options.MaxResponse.
func (c *Client) TrainingArtefact(ctx context.Context, id, name string) ([]byte, error) {
	a, err := c.send(ctx, &call{method: http.MethodGet, path: jobPath(id) + "/artefacts/" + url.PathEscape(name)})
	if err != nil {
		return nil, err
	}
	return a.body, nil
}

// AddSnapshot stores a CSV as training data, as it is read. Only ctx bounds the time, and nothing is repeated.
func (c *Client) AddSnapshot(ctx context.Context, name string, csv io.Reader) (*Snapshot, error) {
	return c.addSnapshot(ctx, name, "text/csv", csv)
}

// AddRequests stores inference requests in JSON, one in a line, as data for compressions; it is like AddSnapshot else.
func (c *Client) AddRequests(ctx context.Context, name string, lines io.Reader) (*Snapshot, error) {
	return c.addSnapshot(ctx, name, "application/jsonl", lines)
}

func (c *Client) addSnapshot(ctx context.Context, name, contentType string, data io.Reader) (*Snapshot, error) {
	path := trainingPath + "snapshots?name=" + url.QueryEscape(name)
	r, err := c.request(ctx, &call{method: http.MethodPost, path: path, once: true})
	if err != nil {
		return nil, err
	}
	r.Body, r.GetBody, r.ContentLength = io.NopCloser(data), nil, -1
	r.Header.Del("Content-Encoding")
	r.Header.Set("Content-Type", contentType)
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	defer resp.Body.Close()
	body, err := c.read(resp)
	if err != nil {
		return nil, fmt.Errorf("client: POST %s: %w", path, err)
	}
	a := &answer{status: resp.StatusCode, header: resp.Header, body: body}
	if a.status != http.StatusOK {
		return nil, answerError(a)
	}
	s := &Snapshot{}
	return s, decodeJSON(a, path, s)
}

// Snapshots lists the stored data, the newest first.
func (c *Client) Snapshots(ctx context.Context) ([]Snapshot, error) {
	m, err := get[struct{ Snapshots []Snapshot }](ctx, c, trainingPath+"snapshots")
	if err != nil {
		return nil, err
	}
	return m.Snapshots, nil
}

// Snapshot describes stored data.
func (c *Client) Snapshot(ctx context.Context, id string) (*Snapshot, error) {
	return get[Snapshot](ctx, c, trainingPath+"snapshots/"+url.PathEscape(id))
}

// RemoveSnapshot deletes stored data that no job needs.
func (c *Client) RemoveSnapshot(ctx context.Context, id string) error {
	_, err := c.send(ctx, &call{method: http.MethodDelete, path: trainingPath + "snapshots/" + url.PathEscape(id)})
	return err
}

// Drift tells how far what a model was asked lately is from its training data; version may be empty.
func (c *Client) Drift(ctx context.Context, model, version string) (*Drift, error) {
	path, err := modelPath(model, version)
	if err != nil {
		return nil, err
	}
	return get[Drift](ctx, c, path+"/drift")
}
