package fhir

import (
	"strconv"
	"strings"

	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/appointment/clinic/book"
)

// AuditEvent is one step of the ledger's audit.
type AuditEvent struct {
	ResourceType string        `json:"resourceType"`
	ID           string        `json:"id"`
	Type         Coding        `json:"type"`
	Subtype      []Coding      `json:"subtype"`
	Action       string        `json:"action"`
	Recorded     string        `json:"recorded"`
	Outcome      string        `json:"outcome"`
	OutcomeDesc  string        `json:"outcomeDesc,omitempty"`
	Agent        []AuditAgent  `json:"agent"`
	Source       AuditSource   `json:"source"`
	Entity       []AuditEntity `json:"entity,omitempty"`
}

// AuditAgent is who did it: a patient, a doctor, or a part of the program.
type AuditAgent struct {
	Who       Reference `json:"who"`
	Requestor bool      `json:"requestor"`
}

// AuditSource is who wrote it down.
type AuditSource struct {
	Observer Reference `json:"observer"`
}

// AuditEntity is what it was done to.
type AuditEntity struct {
	What   Reference     `json:"what"`
	Detail []AuditDetail `json:"detail,omitempty"`
}

// AuditDetail is a fact about an entity.
type AuditDetail struct {
	Type        string `json:"type"`
	ValueString string `json:"valueString"`
}

// auditPage is how many entries are read at once.
const auditPage = 1000

// searchAudit lists the steps of an appointment (entity), or all, oldest first, up to
// maxCount.
func (h *Handler) searchAudit(q map[string][]string, add func(string, any)) error {
	id := ""
	if entity := strings.Join(q["entity"], ","); entity != "" {
		kind, name, ok := strings.Cut(entity, "/")
		if !ok || kind != "Appointment" || name == "" {
			return invalid("entity", "%q, expected Appointment/…", entity)
		}
		id = name
	}
	from, to, err := timeRange("date", q["date"], h.book.Zone())
	if err != nil {
		return err
	}
	for after, n := uint64(0), 0; ; {
		list, err := h.book.Audit(id, after, auditPage)
		if err != nil {
			return err
		}
		for i := range list {
			if e := &list[i]; !e.At.Before(from) && e.At.Before(to) && n < maxCount {
				add(auditID(e), h.auditEvent(e))
				n++
			}
		}
		if len(list) < auditPage || n == maxCount {
			return nil
		}
		after = list[len(list)-1].Seq
	}
}

func (h *Handler) readAudit(id string) (any, error) {
	seq, err := strconv.ParseUint(id, 10, 64)
	if err == nil && seq > 0 {
		list, err := h.book.Audit("", seq-1, 1)
		if err != nil {
			return nil, err
		}
		if len(list) == 1 && list[0].Seq == seq {
			return h.auditEvent(&list[0]), nil
		}
	}
	return nil, appointment.Errorf(appointment.CodeNotFound, "audit event", "%q", id)
}

func auditID(e *book.Entry) string { return strconv.FormatUint(e.Seq, 10) }

func (h *Handler) auditEvent(e *book.Entry) AuditEvent {
	out := AuditEvent{
		ResourceType: "AuditEvent", ID: auditID(e), Recorded: h.stamp(e.At), Action: "U", Outcome: "0", OutcomeDesc: e.Detail,
		Type:    Coding{System: "http://terminology.hl7.org/CodeSystem/audit-event-type", Code: "rest", Display: "RESTful Operation"},
		Subtype: []Coding{{System: extensionPrefix + "step", Code: e.Step}},
		Agent:   []AuditAgent{{Who: Reference{Display: e.Who}, Requestor: true}},
		Source:  AuditSource{Reference{Display: "aimass clinic"}},
	}
	if e.From == "" {
		out.Action = "C"
	}
	if e.Appointment == "" {
		return out
	}
	what := AuditEntity{What: Reference{Reference: "Appointment/" + e.Appointment}}
	for _, d := range []AuditDetail{{"from", string(e.From)}, {"to", string(e.To)}} {
		if d.ValueString != "" {
			what.Detail = append(what.Detail, d)
		}
	}
	out.Entity = []AuditEntity{what}
	return out
}
