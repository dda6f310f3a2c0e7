package hosted

import "github.com/aimass/aimass/train"

// tensors are meanings alone, in order of the ports.
func tensors(meanings ...string) []train.CardTensor {
	out := make([]train.CardTensor, len(meanings))
	for i, m := range meanings {
		out[i].Meaning = m
	}
	return out
}

func scheduleCard() *train.Card {
	return &train.Card{
		Model: Schedule,
		Task: "When each patient of one doctor's session should start, and in which order if that is free, for the least expected cost of waiting, " +
			"idle time and overtime.",
		Method: "The cost of a plan is computed exactly, by convolving the work in front of each patient with the next patient's visit length. " +
			"A local search over intervals of patients finds the times; for a given order the cost is L-natural-convex in them, so the search stops " +
			"close to the optimum. " +
			"For a free order it is a good heuristic. The same session always gets the same plan.",
		Inputs: tensors(scheduleInputs...), Outputs: tensors(scheduleOutputs...),
		Data: scheduleData,
		Limits: []string{
			"Patients are taken as punctual, visits as independent, and there is one doctor.",
			"At most 200 patients a session. A free order of 24 patients takes seconds.",
			"It is a trade: in the stored sessions waits are shorter than under Bailey and Welch and overtime is longer. Look at the parts of the cost.",
		},
		Ethics: []string{
			"Double booking by predicted risk makes patients of high risk wait longer (Samorani and others): look at expected_wait by group.",
			"Never move a patient who has confirmed to an earlier time without consent.",
		},
		Sources: scheduleSources,
	}
}

func assignCard() *train.Card {
	return &train.Card{
		Model: Assign,
		Task:  "Which doctor sees which request, and in which slot. One request to the model is one whole problem.",
		Method: "A minimum-cost flow with whole-number costs, solved exactly: keeping the prior doctor outweighs nearly all else, then urgency, wishes, risk in " +
			"the first two slots, " +
			"and an even load over doctors and half-days (convex arcs). When slots run out, those are placed first who can keep their doctor, then the urgent.",
		Inputs: tensors("which doctor can see which request", "the doctor who saw the patient before, -1 for none", "urgency, 0 to 1000; 1 is normal",
			"probability of not coming",
			"1 where the seat is as wished, less where it is not", "which slots are free"),
		Outputs: tensors("doctor, -1 if queued", "slot, -1 if queued", "place in the queue from 1, 0 if placed",
			"0 placed, 1 prior doctor kept, 3 prior doctor away, 4 prior doctor full, 10 no eligible doctor, 11 no free slot, 12 all slots taken",
			"requests of each doctor"),
		Data: "None: it needs no training. `make appointment-bench` prints its figures on the stored problem; docs/appointment.md explains them.",
		Limits: []string{
			"At most 20,000 requests, 20,000 seats and 100 million combinations.",
			"It is optimal for the costs it has; a reason that no number tells it can't count.",
		},
		Ethics: []string{"The probability of not coming moves a request out of the first slots only, by little; it never decides who is seen.",
			"Every answer can be overruled by staff."},
		Sources: []string{"Edmonds, Karp: J. ACM 1972.", "Jonker, Volgenant: Computing 1987."},
	}
}

func recommendCard() *train.Card {
	return &train.Card{
		Model: Recommend,
		Task: "Up to five doctors for a patient's need, the best first: the first good time with each, the probability of not coming, the wait that 90 % stay " +
			"under, and the reason in words.",
		Method: "An ensemble of served models: appt-assign is asked for the best seat, then again without the doctors already named; appt-noshow and appt-wait " +
			"tell of each seat. " +
			"An appointment that the patient already has for the need comes first, then the doctor who saw the patient before. " +
			"Free text is matched to a speciality by a sentence encoder, where one is served.",
		Data: "clinic.json of the version's folder: doctors, hours, bookings and patients. The one that comes with the demo does not exist.",
		Inputs: tensors("the patient's id; an unknown one is a new patient", "a speciality's code; empty if the text says it",
			"what the patient says; may be left out",
			"first time that suits, RFC 3339 with a zone; also the moment of asking", "urgency, 0 to 1000; 1 is normal",
			"JSON of what the clinic knows now: sessions with their bookings instead of those of clinic.json, the patient, the language of the reasons (en, "+
				"zh); may be left out"),
		Outputs: tensors("doctors' ids, the best first; empty where there are fewer than five", "start times, RFC 3339 in the clinic's zone", "the reason in words",
			"probability of not coming; NaN where there is no doctor", "minutes that 90 % wait no longer than; NaN where there is no doctor"),
		Limits: []string{
			"It reads bookings from its file or from the request's diary and books nothing: between the answer and the booking a slot can go to somebody else.",
			"Times are looked for in the 28 days after the earliest.",
			"A patient of whom nothing is known is taken as 40 years old and without history.",
		},
		Ethics: []string{
			"It recommends; the patient chooses and the doctor approves.",
			"The probability of not coming is for reminders, not for refusing anybody.",
			"Free text is used to find the speciality and is not kept.",
		},
		Sources: []string{"The cards of appt-assign, appt-noshow and appt-wait."},
	}
}
