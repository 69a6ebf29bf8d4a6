package api

import (
	"net/http"

	"aorta/web"
)

// maxLanguages bounds an Accept-Language that is read at all, in bytes.
const maxLanguages = 256

// languageOf gives the language of messages to who made a request: the first that
// they want of those that the checkout comes in, English without any.
func languageOf(h http.Header) string {
	if wanted := h.Get("Accept-Language"); wanted != "" && len(wanted) <= maxLanguages {
		return web.Language(wanted)
	}
	return web.Default
}

// messageOf gives the text of a code for people. Codes, details and what to do
// about them are for programs and their makers, and stay as they are.
func messageOf(c code, language string) string {
	if text, ok := messages[language][c]; ok {
		return text
	}
	return facts[c].message
}

// messages are the texts of facts in the checkout's other languages.
var messages = map[string]map[code]string{
	"ar": {
		codeMalformedJSON:   "نص الطلب ليس كائن JSON يُقرأ بطريقة واحدة فقط.",
		codeKeyMissing:      "يحتاج هذا الطلب إلى Idempotency-Key.",
		codeBadHeader:       "إحدى الترويسات ليست كما يجب.",
		codeUnauthenticated: "يلزم مفتاح API صالح.",
		codeSignature:       "التوقيع غير صحيح.",
		codeForbidden:       "لا يُسمح لمفتاح API هذا بذلك.",
		codeIP:              "لا يُسمح بالاتصال من هذا العنوان لهذا المشروع.",
		codeDeclined:        "رُفضت عملية الدفع.",
		codeFunds:           "لا يوجد مال كافٍ.",
		codeNotFound:        "لا يوجد شيء كهذا.",
		codeMethod:          "لا يقبل هذا العنوان طريقة HTTP هذه.",
		codeConflict:        "استُخدم مفتاح Idempotency-Key لطلب آخر.",
		codeInProgress:      "تجري الآن الإجابة عن الطلب نفسه.",
		codeState:           "لا تسمح الحالة الراهنة بذلك.",
		codeDuplicate:       "يشير merchant_payment_id أو merchant_payout_id إلى دفعة أخرى أو سحب آخر.",
		codeDuplicateRefund: "يشير merchant_refund_id إلى استرداد آخر.",
		codeDuplicateTxn:    "يشير txn_id إلى حركة أخرى.",
		codeExpired:         "انتهى وقت الدفع.",
		codeTooLarge:        "الطلب كبير جدًا.",
		codeMedia:           "يجب أن يكون نص الطلب application/json.",
		codeValidation:      "بعض حقول الطلب ليست كما يجب.",
		codePAN:             "لا يجوز إرسال أرقام البطاقات أو رموز الأمان إلى هنا.",
		codeRange:           "المبلغ خارج ما يمكن قبوله.",
		codeCurrency:        "لا تقبل طريقة الدفع هذه العملة.",
		codeNoMethod:        "لا توجد في المشروع طريقة كهذه.",
		codeRefundTooMuch:   "لا يمكن استرداد أكثر مما بقي من المبلغ المحصَّل.",
		codeLimit:           "سيُتجاوز أحد حدود العميل.",
		codeRestricted:      "العميل في فترة توقف أو مستبعد، وما زال بالإمكان دفع أمواله إليه.",
		codeVelocity:        "يفعل العميل ذلك مرات كثيرة جدًا.",
		codeKYC:             "يجب التحقق من هوية العميل أولًا.",
		codePSPAway:         "لا يمكن الوصول إلى مزوّد الدفع.",
		codeRate:            "طلبات كثيرة جدًا.",
		codeInternal:        "حدث خطأ لدينا.",
		codeStorage:         "لم يُنفَّذ شيء: لا يمكن الوصول إلى مخزن البيانات.",
		codeOverloaded:      "لم يُنفَّذ شيء: هناك عمل كثير جارٍ الآن.",
	},
	"es": {
		codeMalformedJSON:   "El cuerpo no es un objeto JSON que se pueda leer de una sola manera.",
		codeKeyMissing:      "Esta llamada necesita una Idempotency-Key.",
		codeBadHeader:       "Una cabecera no es como debe ser.",
		codeUnauthenticated: "Hace falta una clave de API válida.",
		codeSignature:       "La firma es incorrecta.",
		codeForbidden:       "Esta clave de API no puede hacer esto.",
		codeIP:              "Desde esta dirección no se puede llamar para el proyecto.",
		codeDeclined:        "El pago fue rechazado.",
		codeFunds:           "No hay dinero suficiente.",
		codeNotFound:        "No existe tal cosa.",
		codeMethod:          "Esta dirección no acepta ese método HTTP.",
		codeConflict:        "La clave de idempotencia se usó para otra petición.",
		codeInProgress:      "La misma petición se está respondiendo ahora mismo.",
		codeState:           "El estado actual no permite esto.",
		codeDuplicate:       "El merchant_payment_id o merchant_payout_id nombra otro pago o retiro.",
		codeDuplicateRefund: "El merchant_refund_id nombra otra devolución.",
		codeDuplicateTxn:    "El txn_id nombra otro movimiento.",
		codeExpired:         "Se acabó el tiempo para pagar.",
		codeTooLarge:        "La petición es demasiado grande.",
		codeMedia:           "El cuerpo debe ser application/json.",
		codeValidation:      "Algunos campos de la petición no son como deben ser.",
		codePAN:             "Aquí no se deben enviar números de tarjeta ni códigos de seguridad.",
		codeRange:           "El importe está fuera de lo que se puede aceptar.",
		codeCurrency:        "El método no acepta esta moneda.",
		codeNoMethod:        "El proyecto no tiene ese método.",
		codeRefundTooMuch:   "No se puede devolver más de lo que queda de lo cobrado.",
		codeLimit:           "Se superaría un límite del cliente.",
		codeRestricted:      "El cliente está en pausa o excluido, y aún puede cobrar su dinero.",
		codeVelocity:        "El cliente hace esto con demasiada frecuencia.",
		codeKYC:             "Primero hay que verificar al cliente.",
		codePSPAway:         "No se puede contactar con el proveedor de pagos.",
		codeRate:            "Demasiadas peticiones.",
		codeInternal:        "Algo ha fallado aquí.",
		codeStorage:         "No se ha hecho nada: no se puede acceder al almacén de datos.",
		codeOverloaded:      "No se ha hecho nada: hay demasiado en curso.",
	},
	"hi": {
		codeMalformedJSON:   "अनुरोध का मुख्य भाग ऐसा JSON ऑब्जेक्ट नहीं है जिसे केवल एक ही तरह से पढ़ा जा सके।",
		codeKeyMissing:      "इस अनुरोध के लिए Idempotency-Key ज़रूरी है।",
		codeBadHeader:       "एक हेडर वैसा नहीं है जैसा होना चाहिए।",
		codeUnauthenticated: "एक मान्य API कुंजी चाहिए।",
		codeSignature:       "हस्ताक्षर गलत है।",
		codeForbidden:       "इस API कुंजी को यह करने की अनुमति नहीं है।",
		codeIP:              "इस पते से इस प्रोजेक्ट के लिए अनुरोध नहीं किए जा सकते।",
		codeDeclined:        "भुगतान अस्वीकार कर दिया गया।",
		codeFunds:           "पर्याप्त राशि नहीं है।",
		codeNotFound:        "ऐसी कोई चीज़ नहीं मिली।",
		codeMethod:          "यह पता इस HTTP मेथड को स्वीकार नहीं करता।",
		codeConflict:        "यह Idempotency-Key किसी दूसरे अनुरोध के लिए इस्तेमाल हो चुकी है।",
		codeInProgress:      "इसी अनुरोध का उत्तर अभी दिया जा रहा है।",
		codeState:           "मौजूदा स्थिति में यह संभव नहीं है।",
		codeDuplicate:       "यह merchant_payment_id या merchant_payout_id किसी दूसरे भुगतान या पेआउट का नाम है।",
		codeDuplicateRefund: "यह merchant_refund_id किसी दूसरे रिफ़ंड का नाम है।",
		codeDuplicateTxn:    "यह txn_id किसी दूसरे लेन-देन का नाम है।",
		codeExpired:         "भुगतान का समय समाप्त हो गया।",
		codeTooLarge:        "अनुरोध बहुत बड़ा है।",
		codeMedia:           "अनुरोध का मुख्य भाग application/json होना चाहिए।",
		codeValidation:      "अनुरोध के कुछ मान वैसे नहीं हैं जैसे होने चाहिए।",
		codePAN:             "कार्ड नंबर और सुरक्षा कोड यहाँ नहीं भेजे जा सकते।",
		codeRange:           "यह राशि स्वीकार की जाने वाली सीमा से बाहर है।",
		codeCurrency:        "भुगतान का यह तरीका यह मुद्रा स्वीकार नहीं करता।",
		codeNoMethod:        "इस प्रोजेक्ट में भुगतान का ऐसा तरीका नहीं है।",
		codeLimit:           "ग्राहक की एक सीमा पार हो जाएगी।",
		codeRestricted:      "ग्राहक ने विराम लिया है या उसे बाहर रखा गया है; भुगतान वापस लिया जा सकता है।",
		codeVelocity:        "ग्राहक यह बहुत बार कर रहा है।",
		codeRefundTooMuch:   "प्राप्त राशि में से जितना बचा है उससे ज़्यादा रिफ़ंड नहीं किया जा सकता।",
		codeKYC:             "पहले ग्राहक की पहचान सत्यापित होनी चाहिए।",
		codePSPAway:         "भुगतान सेवा से अभी संपर्क नहीं हो पा रहा है।",
		codeRate:            "बहुत ज़्यादा अनुरोध आ रहे हैं।",
		codeInternal:        "हमारी ओर से कोई गड़बड़ी हुई है।",
		codeStorage:         "कुछ भी नहीं किया गया: डेटाबेस से संपर्क नहीं हो पा रहा है।",
		codeOverloaded:      "कुछ भी नहीं किया गया: अभी बहुत सारा काम चल रहा है।",
	},
	"ru": {
		codeMalformedJSON:   "Тело запроса — не JSON-объект, который читается однозначно.",
		codeKeyMissing:      "Для этого запроса нужен Idempotency-Key.",
		codeBadHeader:       "Один из заголовков задан неверно.",
		codeUnauthenticated: "Нужен действующий ключ API.",
		codeSignature:       "Подпись неверна.",
		codeForbidden:       "Этому ключу API такое действие не разрешено.",
		codeIP:              "С этого адреса нельзя обращаться к проекту.",
		codeDeclined:        "Платёж отклонён.",
		codeFunds:           "Недостаточно средств.",
		codeNotFound:        "Такого объекта нет.",
		codeMethod:          "Этот адрес не принимает такой метод HTTP.",
		codeConflict:        "Ключ идемпотентности уже использован для другого запроса.",
		codeInProgress:      "Такой же запрос обрабатывается прямо сейчас.",
		codeState:           "Текущее состояние этого не допускает.",
		codeDuplicate:       "Этот merchant_payment_id или merchant_payout_id принадлежит другому платежу или выплате.",
		codeDuplicateRefund: "Этот merchant_refund_id принадлежит другому возврату.",
		codeDuplicateTxn:    "Этот txn_id принадлежит другой операции.",
		codeExpired:         "Время на оплату истекло.",
		codeTooLarge:        "Запрос слишком велик.",
		codeMedia:           "Тело запроса должно быть application/json.",
		codeValidation:      "Некоторые поля запроса заданы неверно.",
		codePAN:             "Номера карт и коды безопасности сюда передавать нельзя.",
		codeRange:           "Сумма вне допустимых пределов.",
		codeCurrency:        "Этот способ оплаты не принимает такую валюту.",
		codeNoMethod:        "В проекте нет такого способа оплаты.",
		codeLimit:           "Будет превышен один из лимитов клиента.",
		codeRestricted:      "Клиент взял паузу или исключён; вывести деньги он может.",
		codeVelocity:        "Клиент делает это слишком часто.",
		codeRefundTooMuch:   "Нельзя вернуть больше, чем осталось от полученной суммы.",
		codeKYC:             "Сначала нужно подтвердить личность клиента.",
		codePSPAway:         "Платёжная система сейчас недоступна.",
		codeRate:            "Слишком много запросов.",
		codeInternal:        "На нашей стороне произошла ошибка.",
		codeStorage:         "Ничего не сделано: хранилище недоступно.",
		codeOverloaded:      "Ничего не сделано: сейчас слишком много работы.",
	},
}
