package hosted

import "github.com/aimass/aimass/train"

// scheduleInputs are the meanings of the inputs that plans of a session share.
var scheduleInputs = []string{
	"mean visit length in minutes, above 0", "standard deviation of the visit length divided by its mean, 0 to 3", "probability of not coming",
	"which columns are patients", "planned length of the session in minutes", "starts are multiples of so many minutes",
	"cost of a minute of a patient's waiting, of the doctor's idle time, of overtime", "true keeps the order of the columns",
}

var scheduleOutputs = []string{
	"start minutes, never decreasing", "the k-th start belongs to column order[k]; columns outside the mask come last",
	"total cost, then minutes of waiting (all patients), idle time and overtime",
	"cost of equal intervals, of Bailey and Welch's rule and of show-adjusted intervals",
	"expected wait of each column's patient in minutes",
}

const scheduleData = "None: it needs no training. `make appointment-bench` prints its figures on the stored sessions; docs/appointment.md explains them."

var scheduleSources = []string{
	"Begen, Queyranne: Math. Oper. Res. 2011.", "Zacharias, Yunes: Management Science 2020.", "Bailey, Welch: J. R. Stat. Soc. B 1952.",
}

func fairCard() *train.Card {
	return &train.Card{
		Model: Fair,
		Task:  "When each patient of a session should start, like appt-schedule, if the worst-off group matters or a promise about waits is to be kept.",
		Method: "From the cheapest plan and from plans in which waiting weighs more, a local search goes to the plan in which promises are kept, then the group " +
			"that waits longest waits least, " +
			"then the cost is least. Chances of waiting longer than the limit are exact for the model of the session.",
		Inputs: tensors(append(append([]string{}, scheduleInputs...), "number of the patient's group, from 0 and below the number of columns",
			"true looks for the plan in which the group that waits longest waits least",
			"the share of the cheapest cost that fairness may cost (0 means 0.05); the longest expected wait of anybody; the limit of minutes and the chance to "+
				"stay under it; 0 where not asked for")...),
		Outputs: tensors(append(append([]string{}, scheduleOutputs...), "whether the plan keeps the promise",
			"chance of each column's patient to wait longer than the limit",
			"mean wait of each group; NaN where a group has nobody", "what the cheapest plan costs, without promises and fairness")...),
		Data: scheduleData,
		Limits: []string{
			"Patients are taken as punctual, visits as independent, and there is one doctor.",
			"A promise that no plan keeps, or none that the search finds, gives the nearest plan with met = false.",
		},
		Ethics: []string{
			"Groups are the clinic's to choose: those whom earlier rules made wait, for one. The number is used here and not kept.",
			"It costs the others something, and says what: compare cost with cheapest_cost.",
		},
		Sources: append([]string{"Samorani and others: overbooking and unequal waits.", "Waiting-time guarantees: arXiv 2402.12561."}, scheduleSources...),
	}
}

func dayCard() *train.Card {
	return &train.Card{
		Model: Day,
		Task: "The rest of a running day: who is seen next, how long each will wait, and better starts for those still to come after a cancellation, lateness, " +
			"a walk-in or an emergency.",
		Method: "The work in front of each patient is carried as a distribution, given who is with the doctor and since when. Emergencies go first; those " +
			"present keep their order; " +
			"late patients move behind those due before they come; walk-ins get the place that costs least; the starts of the rest are searched as in appt-schedule.",
		Inputs: tensors("mean visit length in minutes, above 0", "standard deviation of the visit length divided by its mean, 0 to 3",
			"probability of not coming, of those not here yet",
			"which columns are patients", "start of who is booked; since when somebody waits; when the consultation began",
			"0 booked, 1 confirmed, 2 confirmed and glad to come earlier, 3 waiting, 4 with the doctor, 5 walk-in without a start, 6 emergency, 7 "+
				"emergency that interrupts",
			"when a late patient is expected, else 0", "planned end of the session in minutes from its start", "starts are multiples of so many minutes",
			"the present minute",
			"cost of a minute of a patient's waiting, of the doctor's idle time, of overtime", "true looks for better starts, false looks at the day as it stands",
			"the least saving for which a confirmed patient is moved; how many minutes later at most (0 means without limit); cost of a minute until a walk-in's "+
				"start; all 0 if left out"),
		Outputs: tensors("start minute of each column; now for those present", "place in the order of service from 0; -1 outside the mask",
			"expected wait in minutes from start_minute",
			"from now on: total cost, then minutes of waiting, idle time and overtime", "the total cost if nobody is moved"),
		Data: scheduleData,
		Limits: []string{
			"A consultation that has lasted longer than all but one in ten thousand is taken to end in a minute.",
			"It moves starts; what the patient was told is changed by nobody but the clinic.",
		},
		Ethics: []string{
			"A confirmed patient is never moved earlier without consent (state 2), and nobody for a saving below the limit.",
			"Who is an emergency is a person's decision.",
		},
		Sources: scheduleSources,
	}
}
