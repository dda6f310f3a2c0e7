package fhir

import "encoding/json"

// Reference points to another resource.
type Reference struct {
	Reference string `json:"reference,omitempty"`
	Display   string `json:"display,omitempty"`
}

// Coding is a code of a system.
type Coding struct {
	System  string `json:"system,omitempty"`
	Code    string `json:"code"`
	Display string `json:"display,omitempty"`
}

// CodeableConcept is a concept by codes or by words.
type CodeableConcept struct {
	Coding []Coding `json:"coding,omitempty"`
	Text   string   `json:"text,omitempty"`
}

// Meta is about a resource.
type Meta struct {
	VersionID   string `json:"versionId,omitempty"`
	LastUpdated string `json:"lastUpdated,omitempty"`
}

// Extension carries what FHIR has no element for.
type Extension struct {
	URL          string   `json:"url"`
	ValueString  string   `json:"valueString,omitempty"`
	ValueInteger *int     `json:"valueInteger,omitempty"`
	ValueDecimal *float64 `json:"valueDecimal,omitempty"`
	ValueInstant string   `json:"valueInstant,omitempty"`
}

// Period is from one time to another.
type Period struct {
	Start string `json:"start,omitempty"`
	End   string `json:"end,omitempty"`
}

// Schedule is one doctor's diary.
type Schedule struct {
	ResourceType    string            `json:"resourceType"`
	ID              string            `json:"id"`
	Active          bool              `json:"active"`
	Specialty       []CodeableConcept `json:"specialty,omitempty"`
	Actor           []Reference       `json:"actor"`
	PlanningHorizon *Period           `json:"planningHorizon,omitempty"`
}

// Slot is a piece of a diary.
type Slot struct {
	ResourceType string            `json:"resourceType"`
	ID           string            `json:"id,omitempty"`
	Schedule     Reference         `json:"schedule"`
	Specialty    []CodeableConcept `json:"specialty,omitempty"`
	Status       string            `json:"status"`
	Start        string            `json:"start"`
	End          string            `json:"end"`
	Overbooked   *bool             `json:"overbooked,omitempty"`
}

// Participant of an appointment.
type Participant struct {
	Actor    *Reference `json:"actor,omitempty"`
	Required string     `json:"required,omitempty"`
	Status   string     `json:"status"`
}

// Appointment is FHIR's.
type Appointment struct {
	ResourceType       string            `json:"resourceType"`
	ID                 string            `json:"id,omitempty"`
	Meta               *Meta             `json:"meta,omitempty"`
	Extension          []Extension       `json:"extension,omitempty"`
	Status             string            `json:"status"`
	CancelationReason  *CodeableConcept  `json:"cancelationReason,omitempty"`
	Specialty          []CodeableConcept `json:"specialty,omitempty"`
	AppointmentType    *CodeableConcept  `json:"appointmentType,omitempty"`
	Priority           *uint             `json:"priority,omitempty"`
	Description        string            `json:"description,omitempty"`
	Start              string            `json:"start,omitempty"`
	End                string            `json:"end,omitempty"`
	MinutesDuration    int               `json:"minutesDuration,omitempty"`
	Slot               []Reference       `json:"slot,omitempty"`
	Created            string            `json:"created,omitempty"`
	Comment            string            `json:"comment,omitempty"`
	PatientInstruction string            `json:"patientInstruction,omitempty"`
	Participant        []Participant     `json:"participant"`
}

// HumanName is a name as it is said.
type HumanName struct {
	Text string `json:"text"`
}

// Practitioner is a doctor.
type Practitioner struct {
	ResourceType string      `json:"resourceType"`
	ID           string      `json:"id"`
	Active       bool        `json:"active"`
	Name         []HumanName `json:"name"`
}

// Patient is who comes.
type Patient struct {
	ResourceType string      `json:"resourceType"`
	ID           string      `json:"id,omitempty"`
	Name         []HumanName `json:"name"`
	Gender       string      `json:"gender,omitempty"`
	// BirthDate is read, and kept as the age in years.
	BirthDate string `json:"birthDate,omitempty"`
}

// Link of a bundle.
type Link struct {
	Relation string `json:"relation"`
	URL      string `json:"url"`
}

// Entry of a bundle.
type Entry struct {
	FullURL  string `json:"fullUrl,omitempty"`
	Resource any    `json:"resource"`
}

// Bundle is a list of resources.
type Bundle struct {
	ResourceType string  `json:"resourceType"`
	Type         string  `json:"type"`
	Total        int     `json:"total"`
	Link         []Link  `json:"link,omitempty"`
	Entry        []Entry `json:"entry,omitempty"`
}

// Issue of an OperationOutcome.
type Issue struct {
	Severity    string           `json:"severity"`
	Code        string           `json:"code"`
	Details     *CodeableConcept `json:"details,omitempty"`
	Diagnostics string           `json:"diagnostics,omitempty"`
}

// OperationOutcome is what every error is; Contained are the alternatives where a slot
// went to somebody else.
type OperationOutcome struct {
	ResourceType string  `json:"resourceType"`
	Contained    []any   `json:"contained,omitempty"`
	Issue        []Issue `json:"issue"`
}

// Parameter of an operation.
type Parameter struct {
	Name           string           `json:"name"`
	ValueString    string           `json:"valueString"`
	ValueURI       string           `json:"valueUri"`
	ValueID        string           `json:"valueId"`
	ValueCode      string           `json:"valueCode"`
	ValueDateTime  string           `json:"valueDateTime"`
	ValueInstant   string           `json:"valueInstant"`
	ValueReference *Reference       `json:"valueReference"`
	ValueCodeable  *CodeableConcept `json:"valueCodeableConcept"`
	ValueCoding    *Coding          `json:"valueCoding"`
	ValueInteger   *int             `json:"valueInteger"`
	Resource       json.RawMessage  `json:"resource"`
}

// text is the parameter's value, whichever of the types it came as.
func (p *Parameter) text() string {
	for _, v := range []string{p.ValueString, p.ValueURI, p.ValueID, p.ValueCode, p.ValueDateTime, p.ValueInstant} {
		if v != "" {
			return v
		}
	}
	switch {
	case p.ValueReference != nil:
		return p.ValueReference.Reference
	case p.ValueCoding != nil:
		return p.ValueCoding.Code
	case p.ValueCodeable != nil && len(p.ValueCodeable.Coding) > 0:
		return p.ValueCodeable.Coding[0].Code
	}
	return ""
}
