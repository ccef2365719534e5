// The command line as a call: for the program, and for others that offer its verbs.
//
//   const int status = Main(arguments);   // all of it, as the program; errors are printed
//
//   const StreamsInUse streams({.out = [&](std::string_view text) { out += text; }});
//   CommandLine().Run(arguments);         // one verb; errors are thrown
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "cliplens/cli/verb.h"

namespace cliplens::cli {

// `arguments` without the program's name. The exit status.
int Main(std::span<const std::string> arguments);

class CommandLine {
 public:
  CommandLine();
  ~CommandLine();

  // Runs a verb, once. Throws as it does, and Error(kInvalidArgument) for arguments that are none.
  int Run(std::span<const std::string> arguments);
  int exit_status() const { return common_.exit_status; }
  CLI::App& app();  // its verbs and options

 private:
  Common common_;
  std::unique_ptr<CLI::App> app_;
};

}  // namespace cliplens::cli
