package fhir

import (
	"net/http"
	"time"
)

// metadata is the CapabilityStatement.
func (h *Handler) metadata(w http.ResponseWriter, _ *http.Request) {
	type object = map[string]any
	actions := func(codes ...string) (out []object) {
		for _, c := range codes {
			out = append(out, object{"code": c})
		}
		return out
	}
	params := func(pairs ...string) (out []object) {
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, object{"name": pairs[i], "type": pairs[i+1]})
		}
		return out
	}
	operation := func(name string) object {
		return object{"name": name, "definition": "http://fhir.org/guides/argonaut/scheduling/OperationDefinition/appointment-" + name}
	}
	write(w, http.StatusOK, object{
		"resourceType": "CapabilityStatement", "status": "active", "kind": "instance", "fhirVersion": "4.0.1", "format": []string{"application/fhir+json"},
		"patchFormat": []string{"application/json-patch+json"}, "date": h.stamp(h.book.Clock().Look().Truncate(24 * time.Hour)),
		"software":       object{"name": "aimass clinic", "version": h.c.Version},
		"implementation": object{"description": "An example clinic", "url": h.c.Base},
		"rest": []object{{"mode": "server", "resource": []object{
			{"type": "Schedule", "interaction": actions("read", "search-type"), "searchParam": params("actor", "reference", "specialty", "token")},
			{"type": "Slot", "interaction": actions("read", "search-type", "create"), "searchParam": params("schedule", "reference", "status", "token", "start",
				"date")},
			{
				"type": "Appointment", "interaction": actions("read", "search-type", "create", "update", "patch"), "versioning": "versioned-update",
				"searchParam": params("patient", "reference", "practitioner", "reference", "actor", "reference", "date", "date", "status", "token"),
				"operation":   []object{operation("find"), operation("hold"), operation("book")},
			},
			{"type": "Practitioner", "interaction": actions("read", "search-type")},
			{"type": "Patient", "interaction": actions("read", "create")},
			{"type": "AuditEvent", "interaction": actions("read", "search-type"), "searchParam": params("entity", "reference", "date", "date")},
		}}},
	})
}
