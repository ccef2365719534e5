// Edits of a model's forward passes.
//
//   const ModelEdit applied(model.image_readout(), edit);
//   ModelEdit::Scratch scratch;
//   applied.Apply(captures, embedding, scratch);   // unit row to e_edit
#pragma once

#include <span>
#include <vector>

#include "cliplens/decompose/edit.h"
#include "cliplens/model/captures.h"
#include "cliplens/model/readout.h"

namespace cliplens {

// Immutable and shared by all threads.
class ModelEdit {
 public:
  // The read-out must outlive this. Throws Error(kInvalidArgument) unless the edit's sizes are the
  // model's.
  ModelEdit(const Readout& readout, const Edit& edit);

  // The captures that Apply needs.
  CaptureRequest captures() const { return {.z = kAllLayers, .parts = kAllLayers}; }

  struct Scratch {
    std::vector<float> row, projected;
    std::vector<double> change;
  };
  // Turns `embedding`, the unit row [E] of the pass with these captures, into e_edit, which is not
  // made unit.
  void Apply(const Captures& captures, std::span<float> embedding, Scratch& scratch) const;

 private:
  void ApplyContributions(const Captures& captures, std::span<float> embedding) const;

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
