// The verbs and options of the command line, for the calls that stand for them.
#pragma once

#include <string>

namespace cliplens::python {

// JSON: a list of verbs {"name": "neurons collect", "help", "options": [{"names", "help", "type",
// "default", "required", "positional", "flag", "many"}]}, without --json, --quiet and --help.
std::string VerbTable();

}  // namespace cliplens::python
