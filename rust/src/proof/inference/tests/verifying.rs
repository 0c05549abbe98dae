//! Whole proofs, verified: honest ones are accepted, and whatever is changed or forged is not.

use super::comparing::comparing;
use super::instances::{Instance, weights_bytes};
use super::models::{Builder, Model, Random, clip, of_every_kind, others};
use crate::field::P;
use crate::field_hash::FieldHash;
use crate::proof::inference::bytes::format;
use crate::proof::inference::public::{Inputs, Public};
use crate::proof::inference::shape::Shape;
use crate::proof::inference::statement::Statement;
use crate::proof::inference::verifier::verify;
use crate::proof::inference::weights::Commitment;
use crate::proof::inference::witness::{Trace, Witness};
use crate::proof::inference::{program::Program, prover::prove};
use crate::proof::rejected::Rejected;
use crate::proof::transcript::Digest;

fn check(instance: &Instance, proof: &[u8]) -> Result<Digest, Rejected> {
    verify(&instance.statement(), &instance.public(), proof, 2)
}

/// A proof with the digest of another statement, so that it is read further.
fn moved(proof: &[u8], statement: &Statement) -> Vec<u8> {
    let mut moved = proof.to_vec();
    moved[12..44].copy_from_slice(&statement.transcript().state());
    moved
}

/// The reason is one of what is sent, not of how it is written.
fn is_forged(result: &Result<Digest, Rejected>) -> bool {
    matches!(result, Err(Rejected::Row | Rejected::MaskRow { .. } | Rejected::Run { .. } | Rejected::Root { .. }))
}

fn all() -> Vec<(&'static str, Model)> {
    [("every kind", of_every_kind())].into_iter().chain(others()).chain(comparing()).collect()
}

fn small() -> Instance {
    let program = Builder::new(&[6], 0, 15, 3).dense(0, 9, clip(2, 0, 15, 8)).dense(1, 3, None).program();
    Instance::new(&Model::random(program, 4), 5, 1)
}

#[test]
fn honest_proofs_are_accepted() {
    for (name, model) in all() {
        for batch in [1, 3, 4] {
            let instance = Instance::new(&model, batch, 2);
            let attempt = instance.prove();
            assert_eq!(
                check(&instance, &attempt.proof),
                Ok(instance.statement().transcript().state()),
                "{name} {batch}"
            );
        }
    }
}

#[test]
fn a_proof_is_of_its_statement_alone() {
    let instance = small();
    let proof = instance.prove().proof;
    assert!(check(&instance, &proof).is_ok());
    let statement = instance.statement();
    let mut inputs = instance.inputs.clone();
    inputs[7] ^= 1;
    let mut outputs = instance.outputs.clone();
    outputs.swap(0, 1);
    assert_ne!(outputs, instance.outputs);
    // Samples in another order, of which each has its own answer, are another statement too.
    let (mut other_inputs, mut other_outputs) = (instance.inputs.clone(), instance.outputs.clone());
    other_inputs.rotate_left(6);
    other_outputs.rotate_left(3);
    for (inputs, outputs) in
        [(&inputs, &instance.outputs), (&instance.inputs, &outputs), (&other_inputs, &other_outputs)]
    {
        let public = Public::new(&instance.shape, Inputs::Open(inputs), outputs).unwrap();
        let [inputs, outputs] = public.digests(1);
        let changed = Statement { inputs, outputs, ..statement.clone() };
        assert_eq!(verify(&changed, &public, &proof, 1), Err(Rejected::Statement));
        assert!(is_forged(&verify(&changed, &public, &moved(&proof, &changed), 1)));
        // Even where the statement does not know of the change.
        assert!(is_forged(&verify(&statement, &public, &proof, 1)));
    }
    for changed in [
        Statement { binding: [4; 32], ..statement.clone() },
        Statement { root: [4; 32], ..statement.clone() },
        Statement { inputs: statement.outputs, outputs: statement.inputs, ..statement.clone() },
    ] {
        assert_eq!(verify(&changed, &instance.public(), &proof, 1), Err(Rejected::Statement));
        assert!(is_forged(&verify(&changed, &instance.public(), &moved(&proof, &changed), 1)));
    }
}

#[test]
fn a_proof_is_of_its_program_and_openings_alone() {
    let instance = small();
    let proof = instance.prove().proof;
    let builder = |low, high, shift, input| {
        Builder::new(&[6], 0, input, 3).dense(0, 9, clip(shift, low, high, 8)).dense(1, 3, None).program()
    };
    assert_eq!(builder(0, 15, 2, 15).bytes, instance.shape.program.bytes);
    for program in [builder(0, 14, 2, 15), builder(-1, 15, 2, 15), builder(0, 15, 3, 15), builder(0, 15, 2, 16)] {
        let shape = Shape::new(&program, 5, false, 1).unwrap();
        let public = Public::new(&shape, Inputs::Open(&instance.inputs), &instance.outputs).unwrap();
        let statement = Statement { shape: &shape, ..instance.statement() };
        assert_eq!(verify(&statement, &public, &proof, 1), Err(Rejected::Statement));
        assert!(is_forged(&verify(&statement, &public, &moved(&proof, &statement), 1)));
    }
    // A commitment that is said to allow more openings has code words of another length.
    let shape = Shape::new(&instance.shape.program, 5, false, 2).unwrap();
    let statement = Statement { shape: &shape, ..instance.statement() };
    assert!(verify(&statement, &instance.public(), &moved(&proof, &statement), 1).is_err());
}

#[test]
fn a_proof_of_another_commitment_to_the_same_weights_is_another() {
    let instance = small();
    let program = &instance.shape.program;
    let model = Model::random(program.clone(), 4);
    let other = Commitment::new(program, 1, &weights_bytes(&model), &[8; 32], 1).unwrap();
    assert_ne!(other.root(), instance.commitment.root());
    let statement = Statement { root: other.root(), ..instance.statement() };
    let (public, witness) = (instance.public(), instance.witness(1));
    let attempt = prove(&statement, &other, &public, &witness, &[1; 32], 1);
    assert!(verify(&statement, &public, &attempt.proof, 1).is_ok());
    assert_eq!(check(&instance, &attempt.proof), Err(Rejected::Statement));
    assert!(is_forged(&check(&instance, &moved(&attempt.proof, &instance.statement()))));
}

#[test]
fn bytes_that_are_changed_cut_off_or_added_are_noticed() {
    for instance in [small(), Instance::new(&of_every_kind(), 3, 1)] {
        let proof = instance.prove().proof;
        let mut random = Random::new(proof.len() as u64);
        // Every byte of the head, and a sample of the others.
        let places = (0..44).chain((0..150).map(|_| random.between(44, proof.len() as i64 - 1) as usize));
        for place in places.collect::<Vec<_>>() {
            let mut changed = proof.clone();
            changed[place] ^= 1 << random.between(0, 7);
            assert!(check(&instance, &changed).is_err(), "byte {place}");
        }
        for length in [0, 43, 44, 1000, proof.len() / 2, proof.len() - 1] {
            let cut = check(&instance, &proof[..length]);
            assert!(matches!(cut, Err(Rejected::Short { .. } | Rejected::Root { .. })), "{length} {cut:?}");
        }
        let longer = [proof.as_slice(), &[0]].concat();
        assert_eq!(check(&instance, &longer), Err(Rejected::Trailing { bytes: 1 }));
        let format = format(&instance.shape);
        assert!((format.least..=format.most).contains(&proof.len()));
        let largest = vec![0; format.most + 1];
        assert_eq!(check(&instance, &largest), Err(Rejected::Long { bytes: largest.len(), most: format.most }));
    }
}

#[test]
fn elements_are_below_the_modulus() {
    let instance = small();
    let proof = instance.prove().proof;
    // Behind the head and three roots come elements: the first is v_A.
    let first = 44 + 3 * 32;
    for word in [first, first + 8, first + 16, first + 160] {
        let mut changed = proof.clone();
        changed[word..word + 8].copy_from_slice(&P.to_le_bytes());
        assert_eq!(check(&instance, &changed), Err(Rejected::NotReduced { offset: word }));
    }
}

#[test]
fn bytes_of_another_kind_version_or_with_something_reserved_are_refused() {
    let instance = small();
    let proof = instance.prove().proof;
    let with = |place: usize, byte: u8| {
        let mut changed = proof.clone();
        changed[place] = byte;
        check(&instance, &changed)
    };
    assert_eq!(with(7, b'B'), Err(Rejected::Magic));
    assert_eq!(with(8, 2), Err(Rejected::Version(2)));
    assert_eq!(with(10, 1), Err(Rejected::Reserved(1)));
}

#[test]
fn what_is_public_fits_the_shape_or_is_refused() {
    let instance = small();
    let (shape, inputs, outputs) = (&instance.shape, &instance.inputs, &instance.outputs);
    let refused = |inputs: Inputs, outputs: &[i32], reason: &str| {
        let found = Public::new(shape, inputs, outputs).err().unwrap();
        assert!(found.contains(reason), "{found:?} is not {reason:?}");
    };
    refused(Inputs::Open(&inputs[1..]), outputs, "29 entries of inputs are not 5 times 6");
    refused(Inputs::Open(&[]), outputs, "0 entries of inputs are not 5 times 6");
    refused(Inputs::Open(inputs), &outputs[1..], "14 entries of outputs are not 5 times 3");
    refused(Inputs::Hashed(&[0; 30]), outputs, "inputs are not hidden, and hashes stand there");
    for entry in [-1, 16, i32::MIN, i32::MAX] {
        let mut inputs = inputs.clone();
        inputs[8] = entry;
        refused(Inputs::Open(&inputs), outputs, &format!("entry 2 of input 1 is {entry}, not 0 to 15"));
    }
    let shape = Shape::new(&shape.program, 1, true, 1).unwrap();
    let rows = shape.hashing.unwrap().rows;
    let mut hash = vec![0; rows];
    assert!(Public::new(&shape, Inputs::Hashed(&hash), &outputs[..3]).is_ok());
    hash[9] = P;
    let found = Public::new(&shape, Inputs::Hashed(&hash), &outputs[..3]).err().unwrap();
    assert!(found.contains("element 9 of the hashes is not below the modulus"), "{found}");
    let found = Public::new(&shape, Inputs::Hashed(&hash[1..]), &outputs[..3]).err().unwrap();
    assert!(found.contains("elements of hashes"), "{found}");
    let found = Public::new(&shape, Inputs::Open(&inputs[..6]), &outputs[..3]).err().unwrap();
    assert!(found.contains("inputs are hidden, and stand there"), "{found}");
}

/// A model with hidden inputs that are taken by a pool, a sum and a layer at once.
fn hidden_example() -> (Model, Shape, Commitment) {
    let program = Builder::new(&[1, 3, 3], -3, 12, 4)
        .largest(0, super::models::window([2, 2], [1, 1], [0, 0, 1, 1]))
        .sum([0, 1], [1, 0], clip(1, -20, 20, 7))
        .flatten(2)
        .dense(3, 4, clip(3, 0, 15, 9))
        .dense(4, 3, clip(1, -15, 15, 8))
        .program();
    let model = Model::random(program, 11);
    let shape = Shape::new(&model.program, 3, true, 1).unwrap();
    let commitment = Commitment::new(&model.program, 1, &weights_bytes(&model), &[7; 32], 2).unwrap();
    (model, shape, commitment)
}

#[test]
fn hidden_inputs_are_those_that_are_hashed() {
    let (model, shape, commitment) = hidden_example();
    let hash = FieldHash::new(9, -3, 12).unwrap();
    let samples = model.inputs(3, 6);
    let small = |values: &[i64]| values.iter().map(|&value| value as i32).collect::<Vec<_>>();
    let inputs = small(&samples.concat());
    let traces: Vec<_> = samples.iter().map(|sample| model.run(sample)).collect();
    let outputs: Vec<i32> = traces.iter().flat_map(|trace| small(trace.values.last().unwrap())).collect();
    let sums: Vec<Vec<i32>> =
        (0..2).map(|layer| traces.iter().flat_map(|trace| small(&trace.layer_sums[layer])).collect()).collect();
    let sums: Vec<&[i32]> = sums.iter().map(Vec::as_slice).collect();
    let mut random = Random::new(3);
    let rho: Vec<Vec<u8>> = (0..3).map(|_| (0..hash.blind_bytes()).map(|_| random.word() as u8).collect()).collect();
    let randomness: Vec<i32> = rho.iter().flat_map(|rho| hash.blind(rho).to_vec()).collect();
    let hashes = |inputs: &[i32]| -> Vec<u64> {
        inputs.chunks(9).zip(&rho).flat_map(|(inputs, rho)| hash.hash(inputs, rho).unwrap()).collect()
    };
    let honest = hashes(&inputs);
    let attempt = |hashes: &[u64], inputs: &[i32], randomness: &[i32]| {
        let public = Public::new(&shape, Inputs::Hashed(hashes), &outputs).unwrap();
        let [content, of_outputs] = public.digests(1);
        let root = commitment.root();
        let statement = Statement { shape: &shape, root, inputs: content, outputs: of_outputs, binding: [5; 32] };
        let witness =
            Witness::new(&shape, &Trace { inputs, sums: &sums, outputs: &outputs, randomness: Some(randomness) }, 1)?;
        let attempt = prove(&statement, &commitment, &public, &witness, &[1; 32], 1);
        Ok::<_, String>((attempt.holds, verify(&statement, &public, &attempt.proof, 1)))
    };
    let (holds, verdict) = attempt(&honest, &inputs, &randomness).unwrap();
    assert!(holds && verdict.is_ok());
    // Hashes of other inputs, other samples' hashes, other randomness, or other inputs under the same hash.
    let mut other_inputs = inputs.clone();
    other_inputs[4] += if inputs[4] < 12 { 1 } else { -1 };
    let mut turned = honest.clone();
    turned.rotate_left(hash.rows());
    let mut other_randomness = randomness.clone();
    other_randomness[0] += if randomness[0] < 12 { 1 } else { -1 };
    for (hashes, inputs, randomness) in [
        (&hashes(&other_inputs), &inputs, &randomness),
        (&turned, &inputs, &randomness),
        (&honest, &inputs, &other_randomness),
        (&honest, &other_inputs, &randomness),
    ] {
        match attempt(hashes, inputs, randomness) {
            Ok((holds, verdict)) => assert!(!holds && is_forged(&verdict), "{verdict:?}"),
            Err(reason) => assert!(!reason.is_empty()),
        }
    }
}

#[test]
fn hidden_inputs_must_have_a_hash() {
    let refused = |builder: Builder| {
        let found = Shape::new(&builder.program(), 1, true, 1).unwrap_err();
        assert!(found.contains("have no field hash, and cannot be hidden"), "{found}");
    };
    refused(Builder::new(&[4], 0, 14, 1).dense(0, 1, None));
    refused(Builder::new(&[4], -(1 << 15) - 1, 0, 1).dense(0, 1, None));
    refused(Builder::new(&[(1 << 20) + 1], 0, 15, 1).dense(0, 1, None));
    assert!(Shape::new(&Builder::new(&[4], 0, 15, 1).dense(0, 1, None).program(), 1, true, 1).is_ok());
}

/// What the second verifier, which was written from the specification alone, proves.
#[test]
fn proofs_of_the_second_prover_are_accepted() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/inference_proofs");
    let mut found = 0;
    for (name, batch, openings, hidden) in [
        ("one-layer-batch-of-1", 1, 1, false),
        ("two-layers", 5, 1, false),
        ("two-layers-16-openings", 1, 16, false),
        ("images", 3, 1, false),
        ("two-layers-hidden", 2, 1, true),
    ] {
        let read = |end: &str| std::fs::read(format!("{folder}/{name}.{end}")).unwrap();
        let integers = |end: &str| -> Vec<i32> {
            read(end).chunks_exact(4).map(|word| i32::from_le_bytes(word.try_into().unwrap())).collect()
        };
        let described = String::from_utf8(read("json")).unwrap();
        let digest = |key: &str| -> Digest {
            let start = described.find(&format!("\"{key}\": \"")).unwrap() + key.len() + 5;
            let byte = |index: usize| u8::from_str_radix(&described[start + 2 * index..][..2], 16).unwrap();
            std::array::from_fn(byte)
        };
        let shape = Shape::new(&Program::parse(&read("program")).unwrap(), batch, hidden, openings).unwrap();
        let (inputs, outputs) = (integers("inputs"), integers("outputs"));
        let hashes: Vec<u64> =
            read("inputs").chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect();
        let inputs = if hidden { Inputs::Hashed(&hashes) } else { Inputs::Open(&inputs) };
        let public = Public::new(&shape, inputs, &outputs).unwrap();
        let [inputs, outputs] = public.digests(1);
        let statement = Statement { shape: &shape, root: digest("root"), inputs, outputs, binding: digest("binding") };
        let proof = read("proof");
        assert_eq!(proof[12..44], statement.transcript().state(), "{name}");
        assert_eq!(verify(&statement, &public, &proof, 1), Ok(statement.transcript().state()), "{name}");
        let mut changed = proof.clone();
        changed[proof.len() / 2] ^= 1;
        assert!(verify(&statement, &public, &changed, 1).is_err(), "{name}");
        found += 1;
    }
    assert_eq!(found, 5);
}
