#include "cliplens/app/heads.h"

#include <fmt/format.h>

#include "cliplens/base/error.h"

namespace cliplens {

namespace {

ModelHeads HeadsOf(const std::string& fingerprint, const Components& all) {
  return {fingerprint, static_cast<int>(all.layers()), static_cast<int>(all.heads_a_layer()),
          all.has_pool_mlp(), all.level()};
}

}  // namespace

ModelHeads HeadsIn(const Store& store) {
  return HeadsOf(store.info().fingerprint, store.basis().components());
}

ModelHeads HeadsIn(const ClipModel& model) {
  return HeadsOf(model.fingerprint(), model.image_readout().components());
}

std::string HeadChoice::Text() const {
  return property.empty() ? fmt::format("heads {}", heads)
                          : fmt::format("property {} ({})", property, labels);
}

std::vector<HeadId> ChooseHeads(const HeadChoice& choice, const ModelHeads& all) {
  if (choice.property.empty()) return all.Parse(choice.heads);
  return HeadsLabelled(ReadLabelsOf(choice, all), choice.property);
}

LabelFile ReadLabelsOf(const HeadChoice& choice, const ModelHeads& all) {
  if (choice.labels.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "--property {} needs --labels: a file that 'cliplens label STORE --out FILE' wrote",
                choice.property);
  }
  return ReadLabelFile(choice.labels, all);
}

std::map<HeadId, std::string> NamesOfHeads(const LabelFile& labels) {
  std::map<HeadId, std::string> names;
  for (const LabelledHead& head : labels.heads) {
    if (!head.label.empty()) names[head.id] = head.label;
  }
  return names;
}

std::map<HeadId, std::string> ReadNamesOfHeads(const std::string& path, const ModelHeads& all) {
  if (path.empty()) return {};
  return NamesOfHeads(ReadLabelFile(path, all));
}

}  // namespace cliplens
