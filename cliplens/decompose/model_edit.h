// Edits of a model's forward passes.
#pragma once

#include <span>
#include <vector>

#include "cliplens/decompose/edit.h"
#include "cliplens/model/captures.h"
#include "cliplens/model/readout.h"

namespace cliplens {

// Applies an edit to a model's forward passes. Immutable and shared by all threads. Memory: nothing
// of size.
class ModelEdit {
 public:
  // The read-out must outlive this. Throws Error(kInvalidArgument) where the edit's sizes are not
  // the model's.
  ModelEdit(const Readout& readout, const Edit& edit);

  // What Apply needs of a pass.
  CaptureRequest captures() const { return {.z = kAllLayers, .parts = kAllLayers}; }

  struct Scratch {
    std::vector<float> row, projected;
    std::vector<double> change;
  };
  // `embedding`, the unit row [E] of the pass with these captures, becomes e_edit, which is not
  // made unit.
  void Apply(const Captures& captures, std::span<float> embedding, Scratch& scratch) const;

 private:
  struct Part {
    ComponentId target;
    float weight = 0;
  };
  const Readout& readout_;
  std::vector<Part> parts_;
  Vector constant_;          // Σ k [E]
  double share_ = 0;         // Σ of the weights' shares of μ and β
  std::vector<float> bias_;  // Σ of the weights' shares of b_O [D]
};

}  // namespace cliplens
