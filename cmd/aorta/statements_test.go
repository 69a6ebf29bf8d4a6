package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestStatementsCommand: what the verb asks the ops listener for.
func TestStatementsCommand(t *testing.T) {
	t.Parallel()
	name, about := "gps_"+strings.Repeat("0", 25)+"1", "case_"+strings.Repeat("0", 25)+"1"
	one := "GET /admin/statements/" + name
	resolve := func(how string) string {
		return one + " null, POST /admin/cases/" + about + `/resolve {"note":"n","resolution":"` + how + `"}`
	}
	waits := `{"state":"mismatch","case":"` + about + `"}`
	tests := []struct {
		name    string
		args    []string
		status  int
		answer  string
		asked   string
		wantErr string
	}{
		{name: "list", args: []string{"list"}, status: 200, asked: "GET /admin/statements?after=&state= null"},
		{name: "list some", args: []string{"list", "--state", "mismatch", "--after", name}, status: 200, asked: "GET /admin/statements?after=" + name + "&state=mismatch null"},
		{name: "show", args: []string{"show", name}, status: 200, asked: one + " null"},
		{name: "lines", args: []string{"lines", name, "--from", "100"}, status: 200, asked: one + "/lines?from=100 null"},
		{name: "accept", args: []string{"accept", name, "--note", "n"}, status: 200, answer: waits, asked: resolve("accept")},
		{name: "dispute", args: []string{"dispute", name, "--note", "n"}, status: 200, answer: waits, asked: resolve("dispute")},
		{name: "recheck", args: []string{"recheck", name, "--note", "n"}, status: 200, answer: waits, asked: resolve("recheck")},
		{name: "pay", args: []string{"pay", name, "--note", "n"}, status: 200, answer: waits, asked: resolve("pay")},
		{name: "order", args: []string{"order", name}, status: 200, asked: one + "/order?format=json null"},
		{name: "order for the bank", args: []string{"order", name, "--csv"}, status: 200, asked: one + "/order?format=csv null"},
		{
			name: "paid", args: []string{"paid", name, "--reference", "UTR-7", "--note", "n"}, status: 200,
			asked: "POST /admin/statements/" + name + `/paid {"note":"n","reference":"UTR-7"}`,
		},
		{name: "nobody is asked", args: []string{"accept", name, "--note", "n"}, status: 200, answer: `{"state":"pulling"}`, asked: one + " null", wantErr: "the statement is pulling"},
		{name: "another program", args: []string{"accept", name, "--note", "n"}, status: 200, answer: "<html>", asked: one + " null", wantErr: "does not know"},
		{name: "no statement", args: []string{"show", "../../x"}, wantErr: "malformed"},
		{name: "no statement to decide about", args: []string{"accept", "pay_1", "--note", "n"}, wantErr: "malformed"},
		{name: "no statement that is paid", args: []string{"paid", "x", "--note", "n", "--reference", "r"}, wantErr: "malformed"},
		{name: "no note", args: []string{"dispute", name}, wantErr: "--note"},
		{name: "no reference", args: []string{"paid", name, "--note", "n"}, wantErr: "--reference"},
		{name: "refused", args: []string{"show", name}, status: 404, answer: `{"message":"no such statement"}`, asked: one + " null", wantErr: "no such statement"},
		{name: "no token", args: []string{"list"}, status: 401, asked: "GET /admin/statements?after=&state= null", wantErr: "ops_token"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var asked []string
			answer := test.answer
			if answer == "" {
				answer = `{"message":"as it is"}`
			}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				text, _ := io.ReadAll(r.Body)
				asked = append(asked, r.Method+" "+r.URL.RequestURI()+" "+string(text))
				if got := r.Header.Get("Authorization"); got != "Bearer t1" {
					t.Errorf("Authorization is %q", got)
				}
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, answer)
			}))
			t.Cleanup(server.Close)
			out, _, err := aorta(t, append(append([]string{"statements"}, test.args...), "--ops", server.URL, "--token", "t1")...)
			if (err == nil) != (test.wantErr == "") || (err != nil && !strings.Contains(err.Error(), test.wantErr)) {
				t.Fatalf("statements = %v, want an error with %q", err, test.wantErr)
			}
			if got := strings.Join(asked, ", "); got != test.asked {
				t.Errorf("asked %q, want %q", got, test.asked)
			}
			if err == nil && out != answer {
				t.Errorf("printed %q, want %q", out, answer)
			}
		})
	}
}
