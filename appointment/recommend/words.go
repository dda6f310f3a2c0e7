package recommend

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/aimass/aimass/appointment/assign"
)

// ground is what speaks for a candidate.
type ground int

const (
	groundOpen ground = iota
	groundPrior
	groundPriorAway
	groundBest
	groundEarlier
	groundOther
)

// why is a ground and, for groundEarlier, by how many days.
type why struct {
	ground ground
	days   int
}

// why says what speaks for a candidate, given those before it.
func (k *candidate) ground(before []candidate, prior int, reason assign.Reason) why {
	switch {
	case k.doctor == prior:
		return why{groundPrior, 0}
	case len(before) == 0 && (reason == assign.ReasonPriorAway || reason == assign.ReasonPriorFull):
		return why{groundPriorAway, 0}
	case len(before) == 0:
		return why{groundBest, 0}
	case k.seat.start.Before(before[0].seat.start):
		return why{groundEarlier, dayNumber(before[0].seat.start) - dayNumber(k.seat.start)}
	}
	return why{groundOther, 0}
}

// language puts a reason into words. Each function gets what it needs and nothing else.
type language struct {
	why      func(w why) string
	when     func(start time.Time, days int) string
	wait     string // takes the minutes
	reminder string
	between  string
	after    string // the doctor's name
}

// languages by their code; "" is English.
var languages = map[string]*language{"": &english, "en": &english, "zh": &chinese}

var english = language{
	why: func(w why) string {
		switch w.ground {
		case groundOpen:
			return "the appointment you already have"
		case groundPrior:
			return "your doctor from earlier visits"
		case groundPriorAway:
			return "your doctor has no free time; this is the best other one"
		case groundBest:
			return "the best match for your need"
		case groundEarlier:
			if w.days > 0 {
				return plural(w.days, "day") + " earlier than the first choice"
			}
			return "earlier the same day than the first choice"
		}
		return "another doctor for your need"
	},
	when: func(start time.Time, days int) string {
		when := "today"
		if days > 0 {
			when = "in " + plural(days, "day")
		}
		return start.Format("Mon 2 Jan 15:04") + ", " + when
	},
	wait: "9 of 10 wait %.0f minutes or less", reminder: "a reminder would help", between: "; ", after: ": ",
}

var chinese = language{
	why: func(w why) string {
		switch w.ground {
		case groundOpen:
			return "您已有的预约"
		case groundPrior:
			return "您以前看过的医生"
		case groundPriorAway:
			return "您原来的医生没有空位，这是最合适的另一位"
		case groundBest:
			return "最符合您的需要"
		case groundEarlier:
			if w.days > 0 {
				return fmt.Sprintf("比首选早%d天", w.days)
			}
			return "与首选同一天但更早"
		}
		return "另一位合适的医生"
	},
	when: func(start time.Time, days int) string {
		when := "今天"
		if days > 0 {
			when = fmt.Sprintf("%d天后", days)
		}
		return fmt.Sprintf("%d月%d日 周%s %s（%s）", start.Month(), start.Day(), []string{"日", "一", "二", "三", "四", "五", "六"}[start.Weekday()], start.Format("15:04"), when)
	},
	wait: "十人中有九人等待不超过%.0f分钟", reminder: "建议提醒", between: "；", after: "：",
}

func plural(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

// reminderFrom is the probability from which the reason advises a reminder.
const reminderFrom = .3

// reason puts a choice into words.
func (l *language) reason(doctor string, k candidate, asked time.Time, out Choice) string {
	parts := []string{l.why(k.why), l.when(out.Start, dayNumber(out.Start)-dayNumber(asked)), fmt.Sprintf(l.wait, math.Ceil(float64(out.WaitP90)))}
	if out.NoShow >= reminderFrom {
		parts = append(parts, l.reminder)
	}
	return doctor + l.after + strings.Join(parts, l.between)
}
