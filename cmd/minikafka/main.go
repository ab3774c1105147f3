// Command minikafka is the Mini Kafka broker. Without arguments it is a broker for development on
// 127.0.0.1:9092; `minikafka server --config server.properties` is one that Kafka's configuration rules.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "dev"

func main() {
	if err := command(filepath.Base(os.Args[0])).Execute(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// command is the one that the program's name asks for: Kafka's tools go by their own names.
func command(name string) *cobra.Command {
	if strings.TrimSuffix(name, ".sh") == "kafka-dump-log" {
		cmd := dumpLogCommand()
		cmd.Use = strings.Replace(cmd.Use, "dump-log", name, 1)
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		return cmd
	}
	return root()
}

func root() *cobra.Command {
	var s serverFlags
	cmd := &cobra.Command{
		Use:   "minikafka",
		Short: "A broker that speaks Apache Kafka's protocol",
		Long: `A broker that speaks Apache Kafka's protocol.

Without arguments: one node for development on 127.0.0.1:9092, with its data in ./minikafka-data.`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return s.run(cmd.Context(), cmd.OutOrStdout(), true) },
	}
	s.register(cmd)
	cmd.AddCommand(serverCommand(), dumpLogCommand(), versionCommand())
	cmd.CompletionOptions.HiddenDefaultCmd = true
	return cmd
}

func serverCommand() *cobra.Command {
	var s serverFlags
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run a broker by Kafka's configuration: file, then KAFKA_* environment, then --override",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return s.run(cmd.Context(), cmd.OutOrStdout(), false) },
	}
	s.register(cmd)
	return cmd
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			v := version
			if info, ok := debug.ReadBuildInfo(); ok {
				v += " " + info.GoVersion
			}
			_, _ = fmt.Fprintln(cmd.OutOrStdout(), "minikafka", v)
		},
	}
}
