// Neurons on the report's page: a card for each of the important ones, and on a head's card those
// that feed it.
//
//   const ReportNeurons neurons = OpenReportNeurons(model, {.store = "nstore"}, {});
//   Print(NeuronSection(neurons, /*listed=*/{}));
#pragma once

#include <set>
#include <string>

#include "cliplens/app/neuron_lists.h"
#include "cliplens/base/component.h"

namespace cliplens {

// `listed`: heads with a card on the page, which names of heads lead to.
std::string NeuronSection(const ReportNeurons& neurons, const std::set<HeadId>& listed);

// The neurons that feed a head, for its card; empty for a head without any.
std::string FeedersOfCard(const ReportNeurons& neurons, HeadId head);

}  // namespace cliplens
