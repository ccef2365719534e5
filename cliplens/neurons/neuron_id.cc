#include "cliplens/neurons/neuron_id.h"

#include <optional>

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/base/parse_number.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

// "L9" or "9".
std::optional<Index> LayerNumber(std::string_view text) {
  if (text.starts_with('L')) text.remove_prefix(1);
  return ParseNumber<Index>(text);
}

}  // namespace

std::string NeuronName(NeuronId id) { return fmt::format("L{}.N{}", id.layer, id.neuron); }

NeuronId ParseNeuron(std::string_view text, Index layers, Index neurons) {
  const std::size_t dot = text.find(".N");
  std::optional<Index> layer;
  std::optional<Index> neuron;
  if (text.starts_with('L') && dot != std::string_view::npos) {
    layer = ParseNumber<Index>(text.substr(1, dot - 1));
    neuron = ParseNumber<Index>(text.substr(dot + 2));
  }
  if (!layer || !neuron) {
    throw Error(ErrorCode::kInvalidArgument,
                "no neuron '{}'; a layer and a number are wanted, as L9.N2914 (a whole layer: L9)",
                Printable(text));
  }
  if (*layer < 0 || *layer >= layers || *neuron < 0 || *neuron >= neurons) {
    throw Error(ErrorCode::kInvalidArgument,
                "no neuron {}: layers are L0 to L{}, their neurons N0 to N{}", text, layers - 1,
                neurons - 1);
  }
  return {static_cast<int>(*layer), static_cast<int>(*neuron)};
}

LayerRange ParseNeuronLayers(std::string_view text, Index layers) {
  if (layers < 2) {
    throw Error(ErrorCode::kUnsupported,
                "neurons act through the attention of later layers, and this tower has one layer");
  }
  if (text == "all") return {0, layers - 1};
  const auto refuse = [&] {
    throw Error(ErrorCode::kInvalidArgument,
                "no layers '{}'; give one as 9, several as 8-10, last-3, or all", Printable(text));
  };
  std::optional<Index> first;
  std::optional<Index> last;
  const std::size_t dash = text.find('-');
  if (text.starts_with("last-")) {
    const std::optional<Index> count = ParseNumber<Index>(text.substr(5));
    if (!count || *count < 1) refuse();
    first = std::max<Index>(0, layers - 1 - *count);
    last = layers - 2;
  } else if (dash == std::string_view::npos) {
    first = last = LayerNumber(text);
  } else {
    first = LayerNumber(text.substr(0, dash));
    last = LayerNumber(text.substr(dash + 1));
  }
  if (!first || !last || *first < 0 || *last < *first) refuse();
  if (*last == layers - 1) {
    throw Error(ErrorCode::kInvalidArgument,
                "layer {} is the last: no attention comes after it, so its neurons have no effect "
                "through later heads; layers 0 to {} have",
                layers - 1, layers - 2);
  }
  if (*last >= layers) {
    throw Error(ErrorCode::kInvalidArgument, "no layer {}: layers are 0 to {}", *last, layers - 1);
  }
  return {*first, *last + 1};
}

Index ParseNeuronLayer(std::string_view text, Index layers) {
  const LayerRange range = ParseNeuronLayers(text, layers);
  if (range.size() == 1) return range.begin;
  throw Error(ErrorCode::kInvalidArgument, "{}: one layer is wanted, as L{}", Printable(text),
              range.begin);
}

}  // namespace cliplens
