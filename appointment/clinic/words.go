package clinic

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// languages of the pages.
const (
	english = "en"
	chinese = "zh"
)

// words are the pages' texts: English, Chinese. A text that takes values has the verbs of
// fmt.
var words = map[string][2]string{
	"lang-other":       {"中文", "English"},
	"skip":             {"Skip to the content", "跳到正文"},
	"clinic":           {"The clinic", "示范诊所"},
	"demo-clock":       {"Demo clock", "演示时钟"},
	"poster-title":     {"See a doctor without the wait", "看医生，少等待"},
	"poster-text":      {"Scan the code with your phone, say what you need, and choose among the doctors that fit.", "用手机扫描二维码，告诉我们您的需要，然后从合适的医生中选择。"},
	"poster-or":        {"Or open the patient's page here", "或在此打开患者页面"},
	"poster-doctors":   {"The doctors' pages", "医生页面"},
	"poster-api":       {"For programs", "程序接口"},
	"hello":            {"What do you need?", "您需要什么？"},
	"hello-text":       {"Choose a field, or say it in your own words.", "请选择科室，或用自己的话描述。"},
	"who-am-i":         {"Who are you?", "您是谁？"},
	"new-patient":      {"I am new here", "我是新患者"},
	"name":             {"Name", "姓名"},
	"age":              {"Age", "年龄"},
	"sex":              {"Sex", "性别"},
	"female":           {"female", "女"},
	"male":             {"male", "男"},
	"go-on":            {"Continue", "继续"},
	"signed-in":        {"You are %s", "您是%s"},
	"change":           {"Somebody else", "换人"},
	"own-words":        {"In your own words", "用自己的话说"},
	"own-words-hint":   {"e.g. my knee hurts when I climb stairs", "例如：爬楼梯时膝盖疼"},
	"search":           {"Find a doctor", "查找医生"},
	"earliest":         {"From", "最早"},
	"urgent":           {"It is urgent", "比较紧急"},
	"no-text-model":    {"The model that understands free text is not loaded. Please choose a field.", "理解文字的模型没有加载，请选择科室。"},
	"no-models":        {"The recommendations can't be reached at the moment. Please try again in a moment.", "暂时无法获得推荐，请稍后再试。"},
	"recommended":      {"Doctors for you", "为您推荐的医生"},
	"none-free":        {"No doctor has a free time within four weeks. Please call us.", "四周内没有空位，请致电我们。"},
	"wait-of":          {"9 of 10 wait at most", "十人中九人等待不超过"},
	"minutes":          {"%d min", "%d分钟"},
	"take":             {"Take this time", "选择此时间"},
	"yours-already":    {"Your appointment", "您已有的预约"},
	"held-title":       {"We keep this time for you", "已为您保留此时间"},
	"held-until":       {"until %s", "至%s"},
	"anything":         {"Anything the doctor should know?", "有什么要告诉医生吗？"},
	"book":             {"Book", "预约"},
	"give-back":        {"Give it back", "放弃"},
	"my-visits":        {"My appointments", "我的预约"},
	"no-visits":        {"You have no appointments.", "您还没有预约。"},
	"status-proposed":  {"kept for you", "已保留"},
	"status-pending":   {"waiting for the doctor's yes", "等待医生确认"},
	"status-booked":    {"confirmed", "已确认"},
	"status-arrived":   {"you are here", "已到达"},
	"status-fulfilled": {"done", "已完成"},
	"status-cancelled": {"cancelled", "已取消"},
	"status-noshow":    {"missed", "未到"},
	"queue-title":      {"Your place in the queue", "您的排队位置"},
	"queue-first":      {"You are next", "下一位就是您"},
	"queue-ahead":      {"%d before you", "您前面还有%d位"},
	"queue-with":       {"The doctor has time for you now", "医生正在为您看诊"},
	"queue-wait":       {"expected wait %d min", "预计等待%d分钟"},
	"im-here":          {"I am here", "我到了"},
	"reschedule":       {"Another time", "改期"},
	"reschedule-title": {"Choose another time", "选择其他时间"},
	"cancel":           {"Cancel", "取消预约"},
	"cancel-sure":      {"Cancel this appointment?", "确定取消这个预约吗？"},
	"keep":             {"Keep it", "保留"},
	"earlier-ok":       {"I can come earlier the same day", "当天可以提前来"},
	"earlier-not":      {"Please don't ask me to come earlier", "请不要让我提前"},
	"offer-title":      {"Could you come at %s instead?", "您可以改为%s来吗？"},
	"offer-text":       {"Nothing changes without your yes.", "没有您的同意不会更改。"},
	"yes":              {"Yes", "可以"},
	"no":               {"No", "不行"},
	"rate-title":       {"How was it?", "您觉得怎么样？"},
	"rate-stars":       {"%d of 5 stars", "%d星（共5星）"},
	"rate-words":       {"A few words (if you like)", "说几句（可不填）"},
	"send":             {"Send", "发送"},
	"rated":            {"Thank you for your %d stars", "感谢您的%d星评价"},
	"pay-title":        {"To pay", "待付款"},
	"pay":              {"Pay %s", "支付%s"},
	"pay-pending":      {"The payment is under way", "付款处理中"},
	"pay-paid":         {"Paid", "已付款"},
	"pay-failed":       {"The payment failed", "付款失败"},
	"pay-refunded":     {"Refunded", "已退款"},
	"bank-title":       {"The demo bank", "演示银行"},
	"bank-text":        {"No money moves. The bank tells the clinic by a signed message.", "不涉及真实资金。银行用签名消息通知诊所。"},
	"bank-yes":         {"Pay", "付款"},
	"bank-no":          {"Decline", "拒绝"},
	"taken-title":      {"Somebody was faster", "有人抢先了"},
	"taken-text":       {"This time has just gone. These are free:", "该时间刚被预约。以下时间可选："},
	"back":             {"Back", "返回"},
	"problem":          {"That did not work", "操作未成功"},
	"hold-gone":        {"The time we kept for you has run out. Please choose again.", "保留时间已过，请重新选择。"},
	"doctor-page":      {"Day of %s", "%s的日程"},
	"inbox":            {"Requests", "预约请求"},
	"inbox-empty":      {"Nothing waits for your answer.", "没有待处理的请求。"},
	"approve":          {"Approve", "同意"},
	"decline":          {"Decline", "拒绝"},
	"walk-in":          {"Somebody walked in", "现场来诊"},
	"walk-in-text":     {"They get the next free time of today. An emergency can be marked in the list afterwards.", "安排今天最近的空位；急诊可随后在列表中标记。"},
	"walk-in-go":       {"Take them in", "接诊"},
	"walk-in-full":     {"No time is free today. These are the next ones:", "今天没有空位，以下时间可选："},
	"decline-reason":   {"The doctor can't at that time", "医生该时间不便"},
	"risk":             {"may not come: %d %%", "可能不来：%d%%"},
	"risk-high":        {"call to remind", "建议电话提醒"},
	"reminded":         {"reminded", "已提醒"},
	"remind":           {"Reminder sent", "已发送提醒"},
	"prev-day":         {"Day before", "前一天"},
	"next-day":         {"Next day", "后一天"},
	"today":            {"Today", "今天"},
	"no-hours":         {"No hours on this day.", "当天没有门诊。"},
	"half-free":        {"%d free", "空位%d个"},
	"half-cost":        {"cost %d", "成本%d"},
	"running":          {"under way", "进行中"},
	"no-guests":        {"Nobody is booked.", "没有预约。"},
	"arrive":           {"Here", "到达"},
	"begin":            {"Begin", "开始"},
	"fulfil":           {"Done", "完成"},
	"noshow":           {"Did not come", "未到"},
	"emergency":        {"Emergency", "急诊"},
	"late":             {"Late 15 min", "迟到15分钟"},
	"in-room":          {"with you", "就诊中"},
	"whatif-title":     {"What if?", "假设"},
	"whatif-hint": {"Drag a bar, or focus it and use the arrow keys: the waits and the cost are those the models expect. Nothing changes until you apply it.",
		"拖动条形，或聚焦后用方向键：等待和成本由模型预测。应用之前不会更改。"},
	"suggest":        {"Find better starts", "寻找更好的时间"},
	"apply":          {"Apply", "应用"},
	"reset":          {"Reset", "还原"},
	"whatif-cost":    {"cost %s instead of %s", "成本%s，原来%s"},
	"applied":        {"Moved later: %d. Asked to come earlier: %d.", "推迟：%d。请求提前：%d。"},
	"wait-bar":       {"wait", "等待"},
	"visit-bar":      {"visit", "就诊"},
	"asked-earlier":  {"asked for %s", "已请求改为%s"},
	"no-predictions": {"The models can't be reached: no predictions.", "无法连接模型：没有预测。"},
	"stars":          {"%d stars", "%d星"},
	"staff-only":     {"This page is for the clinic's staff. Open it on the clinic's machine, or with the staff key.", "此页面仅供诊所员工使用。请在诊所电脑上或用员工密钥打开。"},
	"spec-general":   {"General medicine", "全科"},
	"spec-heart":     {"Cardiology", "心脏科"},
	"spec-skin":      {"Dermatology", "皮肤科"},
	"spec-eyes":      {"Ophthalmology", "眼科"},
	"spec-children":  {"Paediatrics", "儿科"},
	"spec-bones":     {"Orthopaedics", "骨科"},
	"spec-women":     {"Gynaecology", "妇科"},
	"spec-mind":      {"Psychiatry", "精神科"},
	"type-0":         {"first visit", "初诊"},
	"type-1":         {"follow-up", "复诊"},
	"type-2":         {"complex", "复杂"},
}

// say gives a text in a language; one that is not there is its own name, so that a test
// finds it.
func say(language, key string, values ...any) string {
	pair, ok := words[key]
	if !ok {
		return key
	}
	text := pair[0]
	if language == chinese {
		text = pair[1]
	}
	if len(values) == 0 {
		return text
	}
	return fmt.Sprintf(text, values...)
}

// languageOf is the language a page is shown in: as chosen before, else as the browser
// wishes.
func languageOf(r *http.Request) string {
	if c, err := r.Cookie("lang"); err == nil && (c.Value == english || c.Value == chinese) {
		return c.Value
	}
	for _, part := range strings.Split(r.Header.Get("Accept-Language"), ",") {
		switch tag, _, _ := strings.Cut(strings.TrimSpace(strings.ToLower(part)), ";"); {
		case strings.HasPrefix(tag, chinese):
			return chinese
		case strings.HasPrefix(tag, english):
			return english
		}
	}
	return english
}

var weekdays = []string{"日", "一", "二", "三", "四", "五", "六"}

// date and clock write a time in the zone that it carries.
func date(language string, t time.Time) string {
	if language == chinese {
		return fmt.Sprintf("%d月%d日 周%s", t.Month(), t.Day(), weekdays[t.Weekday()])
	}
	return t.Format("Mon 2 January")
}

func clock(t time.Time) string { return t.Format("15:04") }
