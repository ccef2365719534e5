// Views of neurons: those of a layer or a head, one of them, where they fire in a picture.
#include "cliplens/app/heads.h"
#include "cliplens/app/neuron_lists.h"
#include "cliplens/app/neuron_pictures.h"
#include "cliplens/base/error.h"
#include "cliplens/io/printable.h"
#include "cliplens/report/explorer_report.h"
#include "cliplens/report/neuron_picture_report.h"
#include "cliplens/server/views.h"

namespace cliplens::server {
namespace {

constexpr Index kMostWords = 32;  // of a neuron
constexpr Index kMostFirings = 16;

}  // namespace

Json NeuronListOf(Source& source, const Request& request) {
  const NeuronStore& store = source.neurons();
  NeuronListChoice choice{.layers = std::string(request.parameter("layers")),
                          .from = CountOf(request, "from", 0, 0, Index{1} << 40),
                          .count = CountOf(request, "count", 20, 1, kMostResults),
                          .words = CountOf(request, "words", 4, 1, kMostWords)};
  if (const std::string head(request.parameter("head")); !head.empty()) {
    const std::vector<HeadId> heads = source.model_heads().Parse(head);
    if (heads.size() != 1) {
      throw Error(ErrorCode::kInvalidArgument, "{}: one head is wanted, such as L{}.H0",
                  Printable(head), source.layers() - 1);
    }
    choice.head = heads.front();
  }
  return NeuronListJson(
      ListNeurons(store, source.neuron_pool(), choice, {.threads = source.threads()}));
}

Json NeuronOf(Source& source, const std::string& neuron, const Request& request) {
  const NeuronStore& store = source.neurons();
  return NeuronShownJson(
      ShowNeuron(store, source.neuron_pool(), source.neuron_items(), OneNeuronNamed(store, neuron),
                 {.neuron = neuron,
                  .words = {.count = CountOf(request, "words", 12, 1, kMostWords)},
                  .heads = CountOf(request, "heads", 12, 1, kMostResults),
                  .pictures = CountOf(request, "pictures", 12, 0, 100)},
                 {.threads = source.threads()}));
}

Json FiringsOf(Source& source, const Arguments& request) {
  const std::vector<std::string> names = request.Texts("neurons", kMostFirings);
  if (names.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "neurons: name at least one, as L9.N2914");
  }
  const ClipModel& model = source.model();
  const TowerConfig& tower = model.config().vision;
  std::vector<NeuronId> ids;
  ids.reserve(names.size());
  for (const std::string& name : names) {
    ids.push_back(ParseNeuron(name, tower.layers, tower.mlp_width));
  }
  const ShownPicture picture = source.Picture(request.Object("picture"));
  std::vector<NeuronFiring> firings;
  firings.reserve(ids.size());
  for (const NeuronId id : ids) {
    const auto pass = source.Pass(picture, id.layer);
    firings.push_back(FiringOf(pass->captures, model.config().layout(), id));
  }
  return FiringsJson(MappedPictureOf(model, picture.image, picture.path), firings);
}

}  // namespace cliplens::server
