package model_test

import (
	"slices"
	"strings"
	"testing"

	"aorta/test/model"
)

func walletAccount(owner, purpose string) model.AccountName {
	return model.AccountName{Place: 3, Owner: owner, Purpose: purpose, Currency: "INR"}
}

// booked is a row of a move.
func booked(of, kind, name, round string, debit, credit model.AccountName, minor int64) model.Transfer {
	return model.Transfer{Of: of, Kind: kind, Name: name, Round: round, Debit: debit, Credit: credit, Minor: minor}
}

// table is a game of one customer and what is said of it.
type table struct {
	m    *model.Model
	last *model.AskedMove
}

func (g *table) ask(kind, name string, minor int64) *model.AskedMove {
	v := model.Move{Kind: kind, Name: name, Customer: "c", Currency: "INR", Minor: minor}
	if kind == "stake" || kind == "win" || kind == "rollback" {
		v.Round = "r"
	}
	g.last = g.m.MoveAsked(v, 0)
	return g.last
}

func (g *table) told(of string, available int64, repeat bool) {
	g.m.MoveAnswered(g.last, model.MoveAnswer{Transfer: of, Currency: "INR", Available: available, Repeat: repeat})
}

func (g *table) row(rounds []model.Round, rows ...model.Transfer) {
	g.m.Committed(model.Commit{Transfers: rows, Rounds: rounds})
}

func round(stakes, staked, wins, won int64, rolledBack, rollback string) []model.Round {
	r := model.Round{ID: "row", Name: "r", Currency: "INR", Place: 3, Stakes: stakes, Staked: staked, Wins: wins, Won: won, RolledBack: rolledBack, Rollback: rollback}
	if stakes+wins == 0 {
		r.Currency = ""
	}
	return []model.Round{r}
}

// A true history of a wallet is believed; one with a wrong step is not. want is
// "" or in what the model says.
func TestWallets(t *testing.T) {
	t.Parallel()
	available, payable, games := walletAccount("customer:1:c", "available"), walletAccount("merchant:1", "payable"), walletAccount("house", "games")
	credit := func(g *table) {
		g.ask("credit", "x", 100)
		g.row(nil, booked("t1", "credit", "x", "", payable, available, 100))
		g.told("t1", 100, false)
	}
	stake := func(g *table) {
		credit(g)
		g.ask("stake", "s", 60)
		g.row(round(1, 60, 0, 0, "", ""), booked("t2", "stake", "s", "row", available, games, 60))
		g.told("t2", 40, false)
	}
	back := func(g *table) {
		stake(g)
		g.ask("rollback", "b", 60)
		g.row(round(1, 60, 0, 0, "b", "t3"), booked("t3", "rollback", "b", "row", games, available, 60))
		g.told("t3", 100, false)
	}
	nothing := func(g *table) {
		credit(g)
		g.ask("rollback", "b", 60)
		g.row(round(0, 0, 0, 0, "b", ""))
		g.told("", 100, false)
	}
	after := func(before func(*table), kind, name string, minor int64, why string) func(*table) {
		return func(g *table) {
			before(g)
			g.m.MoveRefused(g.ask(kind, name, minor), why)
		}
	}
	tests := []struct {
		name  string
		story func(*table)
		want  string
	}{
		{name: "credit", story: credit},
		{name: "stake", story: stake},
		{name: "rollback", story: back},
		{name: "rollback of nothing", story: nothing},
		{name: "the first transfer again", story: func(g *table) { back(g); g.ask("stake", "s", 60); g.told("t2", 100, true) }},
		{name: "a rollback again, without its amount", story: func(g *table) { back(g); g.ask("rollback", "b", 0); g.told("t3", 100, true) }},
		{name: "no money", story: after(credit, "debit", "d", 101, model.RefusedShort)},
		{name: "no money for a moment", story: func(g *table) {
			asked := g.ask("debit", "d", 1)
			credit(g)
			g.m.MoveRefused(asked, model.RefusedShort)
		}},
		{name: "a late stake", story: after(nothing, "stake", "s", 60, model.RefusedRound)},
		{name: "a second rollback", story: after(back, "rollback", "b2", 60, model.RefusedRound)},
		{name: "another amount", story: after(credit, "credit", "x", 101, model.RefusedConflict)},
		{name: "a rollback of another amount", story: after(stake, "rollback", "b", 61, model.RefusedAmount)},

		{name: "told and not written", story: func(g *table) { g.ask("credit", "x", 100); g.told("t1", 100, false) }, want: "was never committed (C2)"},
		{name: "told another one", story: func(g *table) { credit(g); g.ask("credit", "x", 100); g.told("t9", 100, true) }, want: "its first transfer is"},
		{name: "told what was not asked", story: func(g *table) { credit(g); g.ask("credit", "x", 101); g.told("t1", 100, true) }, want: "but done was"},
		{name: "told as new twice", story: func(g *table) { credit(g); g.ask("credit", "x", 100); g.told("t1", 100, false) }, want: "as new twice"},
		{name: "told another balance", story: func(g *table) {
			g.ask("credit", "x", 100)
			g.row(nil, booked("t1", "credit", "x", "", payable, available, 100))
			g.told("t1", 0, false)
		}, want: "it left 100"},
		{name: "told a balance that never was", story: func(g *table) { credit(g); g.ask("credit", "x", 100); g.told("t1", 99, true) }, want: "never had while"},
		{name: "refused, and done before", story: after(back, "stake", "s", 60, model.RefusedRound), want: "and had been made"},
		{name: "refused with money", story: after(credit, "debit", "d", 100, model.RefusedShort), want: "and nothing was so"},
		{name: "refused in a round that goes on", story: after(stake, "win", "w", 1, model.RefusedRound), want: "and nothing was so"},
		{name: "refused under a free name", story: after(credit, "credit", "y", 1, model.RefusedConflict), want: "and nothing was so"},
		{name: "refused with the right amount", story: after(stake, "rollback", "b", 60, model.RefusedAmount), want: "and nothing was so"},
		{name: "nobody asked", story: func(g *table) { g.row(nil, booked("t1", "credit", "x", "", payable, available, 100)) }, want: "nobody asked for that"},
		{name: "of another amount", story: func(g *table) {
			g.ask("credit", "x", 100)
			g.row(nil, booked("t1", "credit", "x", "", payable, available, 101))
		}, want: "nobody asked for that"},
		{name: "made twice", story: func(g *table) {
			credit(g)
			g.row(nil, booked("t2", "credit", "x", "", payable, available, 100))
		}, want: "is made twice"},
		{name: "more than there is", story: func(g *table) {
			g.ask("debit", "d", 1)
			g.row(nil, booked("t1", "debit", "d", "", available, payable, 1))
		}, want: "leaves -1 in account"},
		{name: "in a round that is over", story: func(g *table) {
			nothing(g)
			g.ask("stake", "s", 60)
			g.row(nil, booked("t2", "stake", "s", "row", available, games, 60))
		}, want: "was rolled back by"},
		{name: "in another currency", story: func(g *table) {
			stake(g)
			g.m.MoveAsked(model.Move{Kind: "win", Name: "w", Customer: "c", Round: "r", Currency: "EUR", Minor: 5}, 0)
			from, to := games, available
			from.Currency, to.Currency = "EUR", "EUR"
			g.row(nil, booked("t3", "win", "w", "row", from, to, 5))
		}, want: "its round is in INR"},
		{name: "half of a rollback", story: func(g *table) {
			stake(g)
			g.ask("rollback", "b", 0)
			g.row(nil, booked("t3", "rollback", "b", "row", games, available, 59))
		}, want: "nobody asked for that"},
		{name: "a tombstone of nobody", story: func(g *table) { g.row(round(0, 0, 0, 0, "b", "")) }, want: "nobody has played or rolled it back"},
		{name: "a round that counts wrong", story: func(g *table) {
			credit(g)
			g.ask("stake", "s", 60)
			g.row(round(2, 60, 0, 0, "", ""), booked("t2", "stake", "s", "row", available, games, 60))
		}, want: "must be"},
		{name: "one rollback of two rounds", story: func(g *table) {
			nothing(g)
			g.m.MoveAsked(model.Move{Kind: "rollback", Name: "b", Customer: "c", Round: "q", Currency: "INR"}, 0)
			g.row([]model.Round{{ID: "row2", Name: "q", Place: 3, RolledBack: "b"}})
		}, want: "is made twice"},
		{name: "money in two places", story: func(g *table) {
			credit(g)
			g.ask("credit", "y", 1)
			from, to := payable, available
			from.Place, to.Place = 4, 4
			g.row(nil, booked("t2", "credit", "y", "", from, to, 1))
		}, want: "has money in 3 and 4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := &table{m: model.New(model.Settings{Merchant: "1", Wallet: true, Late: "hold"})}
			tt.story(g)
			judgeSaid(t, g.m.Wrong(), tt.want)
		})
	}
}

// What is stored in the end is what was committed, and it balances.
func TestRoundsInTheEnd(t *testing.T) {
	t.Parallel()
	account := func(owner, purpose string, minor int64) model.Account {
		return model.Account{AccountName: walletAccount(owner, purpose), Minor: minor}
	}
	for want, end := range map[string]struct {
		games  int64
		rounds []model.Round
	}{
		"":                      {-60, round(1, 60, 0, 0, "", "")},
		"0 rounds are stored":   {-60, nil},
		"and the rounds differ": {-61, round(1, 60, 0, 0, "", "")},
		"sum to -1":             {-61, round(1, 60, 0, 0, "", "")},
		"was never committed":   {-60, []model.Round{{ID: "row2", Name: "q", Currency: "INR", Staked: 60}}},
	} {
		g := &table{m: model.New(model.Settings{Merchant: "1", Wallet: true, Late: "hold"})}
		available, payable, games := walletAccount("customer:1:c", "available"), walletAccount("merchant:1", "payable"), walletAccount("house", "games")
		g.ask("credit", "x", 100)
		g.row(nil, booked("t1", "credit", "x", "", payable, available, 100))
		g.ask("stake", "s", 60)
		g.row(round(1, 60, 0, 0, "", ""), booked("t2", "stake", "s", "row", available, games, 60))
		judgeSaid(t, g.m.End(nil, []model.Account{account("customer:1:c", "available", -40), account("merchant:1", "payable", 100), account("house", "games", end.games)}, end.rounds), want)
	}
}

func judgeSaid(t *testing.T, got []string, want string) {
	t.Helper()
	if want == "" && len(got) > 0 {
		t.Errorf("a true history is wrong for the model:\n%s", strings.Join(got, "\n"))
	}
	if want != "" && !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, want) }) {
		t.Errorf("the model says %q, want %q", got, want)
	}
}
