// Command build bundles the TypeScript and style sheets of web/src into web/dist and writes web/inventory.json, the
// list of scripts that may run on the payment page. `go generate ./web` runs it; its output is committed, so that
// building Aorta needs Go alone.
//
// The bundler strips types without reading them; `make check/types` reads them.
package main

import (
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/evanw/esbuild/pkg/api"
)

// asset is one line of the inventory. PCI DSS 6.4.3 wants every script of a payment page authorised, with its
// integrity assured and a written reason.
type asset struct {
	Path      string `json:"path"`
	Source    string `json:"source"`
	RunsOn    string `json:"runs_on"`
	Reason    string `json:"reason"`
	Integrity string `json:"integrity"`
}

var assets = []asset{
	{
		Path: "/shared/merchant.css", Source: "src/merchant.css", RunsOn: "merchant's page",
		Reason: "Looks of the modal window that merchant.js opens.",
	},
	{
		Path: "/shared/merchant.js", Source: "src/merchant.ts", RunsOn: "merchant's page",
		Reason: "EPayWidget: opens the payment page in a window or frame and reports its events to the merchant.",
	},
	{
		Path: "/shared/page.css", Source: "src/page.css", RunsOn: "payment page",
		Reason: "Looks of the payment page.",
	},
	{
		Path: "/shared/page.js", Source: "src/page.ts", RunsOn: "payment page",
		Reason: "Countdown, state polling, hand-over to the provider, times in the customer's zone and events for the merchant's page; the page also works without it. Reads no form field but the chosen method.",
	},
	{
		Path: "/shared/signin.js", Source: "src/signin.ts", RunsOn: "page that links a wallet",
		Reason: "Passkeys, which browsers give to scripts alone; the page also works without it. Reads no field that a customer types into.",
	},
}

func main() {
	if err := build(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func build() error {
	for i := range assets {
		a := &assets[i]
		result := api.Build(api.BuildOptions{
			EntryPoints:       []string{a.Source},
			Bundle:            true,
			Format:            api.FormatIIFE,
			Target:            api.ES2020,
			Charset:           api.CharsetUTF8,
			MinifyWhitespace:  true,
			MinifyIdentifiers: true,
			MinifySyntax:      true,
			LegalComments:     api.LegalCommentsNone,
			LogLevel:          api.LogLevelWarning,
		})
		if len(result.Errors) > 0 || len(result.Warnings) > 0 {
			return fmt.Errorf("build %s: %d errors, %d warnings", a.Source, len(result.Errors), len(result.Warnings))
		}
		code := result.OutputFiles[0].Contents
		if err := os.WriteFile(filepath.Join("dist", filepath.Base(a.Path)), code, 0o644); err != nil {
			return err
		}
		sum := sha512.Sum384(code)
		a.Integrity = "sha384-" + base64.StdEncoding.EncodeToString(sum[:])
	}
	list, err := json.MarshalIndent(assets, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile("inventory.json", append(list, '\n'), 0o644)
}
