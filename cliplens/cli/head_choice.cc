#include "cliplens/cli/head_choice.h"

#include <fmt/format.h>

#include "cliplens/base/error.h"

namespace cliplens::cli {

std::string HeadChoice::Text() const {
  return property.empty() ? fmt::format("heads {}", heads)
                          : fmt::format("property {} ({})", property, labels);
}

void AddHeadChoice(CLI::App* verb, HeadChoice& choice) {
  CLI::Option* heads =
      verb->add_option("--heads", choice.heads, "L11.H3, L9-L11, last-4, all; commas between")
          ->capture_default_str();
  verb->add_option("--property", choice.property, "The heads that --labels names this property for")
      ->excludes(heads);
  verb->add_option("--labels", choice.labels, "File that 'cliplens label STORE --out FILE' wrote");
}

std::vector<HeadId> ChooseHeads(const HeadChoice& choice, const std::string& fingerprint,
                                int layers, int heads) {
  if (choice.property.empty()) return ParseHeads(choice.heads, layers, heads);
  return HeadsLabelled(LabelsOf(choice, fingerprint, layers, heads), choice.property);
}

LabelFile LabelsOf(const HeadChoice& choice, const std::string& fingerprint, int layers,
                   int heads) {
  if (choice.labels.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "--property {} needs --labels FILE: write it with 'cliplens label STORE --out "
                "FILE'",
                choice.property);
  }
  return ReadLabelFile(choice.labels, fingerprint, layers, heads);
}

}  // namespace cliplens::cli
