#include "cliplens/app/heads.h"

#include <fmt/format.h>

#include "cliplens/base/error.h"

namespace cliplens {

ModelHeads HeadsIn(const Store& store) {
  return {store.info().fingerprint, static_cast<int>(store.basis().layers()),
          static_cast<int>(store.basis().num_heads()), store.basis().pool_mlp()};
}

ModelHeads HeadsIn(const ClipModel& model) {
  const TowerConfig& vision = model.config().vision;
  return {model.fingerprint(), static_cast<int>(vision.layers), static_cast<int>(vision.heads),
          model.image_readout().components().has_pool_mlp()};
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
