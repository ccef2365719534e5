#include "cliplens/python/verb_table.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "cliplens/cli/command_line.h"
#include "cliplens/io/json.h"

namespace cliplens::python {
namespace {

constexpr std::array<std::string_view, 3> kLeftOut = {"--json", "--quiet", "--help"};

Json OptionJson(const CLI::Option& option) {
  Json names = Json::array();
  for (const std::string& name : option.get_lnames()) names.push_back("--" + name);
  for (const std::string& name : option.get_snames()) names.push_back("-" + name);
  if (option.get_positional()) names.push_back(option.get_name());
  return {{"names", std::move(names)},
          {"help", option.get_description()},
          {"type", option.get_type_name()},
          {"default", option.get_default_str()},
          {"required", option.get_required()},
          {"positional", option.get_positional()},
          {"flag", option.get_items_expected_max() == 0},
          {"many", option.get_items_expected_max() > 1}};
}

void AddOptions(const CLI::App& app, Json& options) {
  for (const CLI::Option* option : app.get_options()) {
    const std::string name = option->get_name();
    if (std::ranges::find(kLeftOut, name) != kLeftOut.end() || name.find("--help") != name.npos) {
      continue;
    }
    options.push_back(OptionJson(*option));
  }
  for (const CLI::App* group :
       app.get_subcommands([](const CLI::App* a) { return a->get_name().empty(); })) {
    AddOptions(*group, options);
  }
}

void AddVerb(const CLI::App& app, const std::string& name, Json& verbs) {
  const auto under = app.get_subcommands([](const CLI::App* a) { return !a->get_name().empty(); });
  for (const CLI::App* verb : under) AddVerb(*verb, name + " " + verb->get_name(), verbs);
  // A verb with verbs under it may still do something by itself.
  const bool is_verb = under.empty() || !app.get_require_subcommand_min();
  if (name.empty() || !is_verb) return;
  Json options = Json::array();
  AddOptions(app, options);
  verbs.push_back(
      {{"name", name.substr(1)}, {"help", app.get_description()}, {"options", std::move(options)}});
}

}  // namespace

std::string VerbTable() {
  Json verbs = Json::array();
  cli::CommandLine line;
  AddVerb(line.app(), "", verbs);
  return DumpJson(verbs, 1);
}

}  // namespace cliplens::python
