package clinic

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/appointment/clinic/book"
)

// SignatureHeader carries the signature of a payment event, see book.SignPayment.
const SignatureHeader = "X-Clinic-Signature"

// webhook is where the payment provider tells what came of a payment.
func (s *Clinic) webhook(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	if err == nil {
		// The provider's clock is the real one, whatever a demo shows.
		err = book.CheckPaymentSignature(s.WebhookSecret(), body, r.Header.Get(SignatureHeader), time.Now())
	}
	var e book.PaymentEvent
	if err == nil {
		if bad := json.Unmarshal(body, &e); bad != nil {
			err = api.Errorf(api.CodeInvalidJSON, "%w", bad)
		}
	}
	var v book.Appointment
	if err == nil {
		v, err = s.book.TakePayment(e)
	}
	s.reply(w, map[string]string{"appointment": v.ID, "payment": v.Payment.State}, err)
}

// money writes cents.
func money(p book.Payment) string {
	return fmt.Sprintf("%d.%02d %s", p.Cents/100, p.Cents%100, p.Currency)
}

// bankPage and bankAnswer are the demo's payment provider.
func (s *Clinic) bankPage(w http.ResponseWriter, r *http.Request) {
	_, v, err := s.own(r)
	if err == nil && v.Payment.State != book.PaymentPending {
		err = appointment.Errorf(appointment.CodeBadTransition, "payment", "it is %q", v.Payment.State)
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.show(w, r, http.StatusOK, page{Title: say(languageOf(r), "bank-title")}, func(p *page) string { return bankPage(p, &v) })
}

func (s *Clinic) bankAnswer(w http.ResponseWriter, r *http.Request) {
	_, v, err := s.own(r)
	if err == nil {
		err = s.tell(r, &v)
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	http.Redirect(w, r, "/phone/visit/"+v.ID, http.StatusSeeOther)
}

// tell sends the signed event to the clinic's webhook, as a provider would.
func (s *Clinic) tell(r *http.Request, v *book.Appointment) error {
	e := book.PaymentEvent{ID: rand.Text(), Appointment: v.ID, Outcome: book.PaymentFailed, Cents: v.Payment.Cents}
	if r.FormValue("yes") != "" {
		e.Outcome = book.PaymentPaid
	}
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, "http://"+localAddr(r)+"/payments/webhook", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(SignatureHeader, book.SignPayment(s.WebhookSecret(), body, time.Now()))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
		return api.Errorf(api.CodeInternal, "the webhook answered %d: %s", resp.StatusCode, text)
	}
	return nil
}

// localAddr is the address that the request came in on.
func localAddr(r *http.Request) string {
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		return a.String()
	}
	return r.Host
}
