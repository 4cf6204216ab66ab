//! Tests of pickles: what is read, and what is refused.

use super::machine::MOST_VALUES;
use super::*;

fn error(bytes: &[u8]) -> String {
    Pickle::read(bytes).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn plain_data_is_read() -> Result<(), Problem> {
    // pickle.dumps({"a": (1, -2.5, None, True), "b": [2**40, b"x"]}, 4), without the frame.
    let bytes = b"\x80\x04}\x94(\x8c\x01a\x94(K\x01G\xc0\x04\x00\x00\x00\x00\x00\x00N\x88t\x94\
                  \x8c\x01b\x94]\x94(\x8a\x06\x00\x00\x00\x00\x00\x01C\x01x\x94eu.";
    let pickle = Pickle::read(bytes)?;
    let Value::Dict(pairs) = pickle.get(pickle.root) else { panic!("{pickle:?}") };
    assert_eq!(pickle.get(pairs[1].0), &Value::Text("b"));
    let Value::Tuple(items) = pickle.get(pairs[0].1) else { panic!("{pickle:?}") };
    let items: Vec<_> = items.iter().map(|&id| pickle.get(id)).collect();
    let expected = [Value::Int(1), Value::Float(-2.5), Value::None, Value::Bool(true)];
    assert!(items.into_iter().eq(&expected));
    let Value::List(items) = pickle.get(pairs[1].1) else { panic!("{pickle:?}") };
    assert_eq!(pickle.get(items[0]), &Value::Int(1 << 40));
    Ok(())
}

/// Non-tensor values that `torch.load(weights_only=True)` reads.
#[test]
fn harmless_names_are_read() -> Result<(), Problem> {
    // pickle.dumps of each with protocol 2, or 4 for the sets.
    for bytes in [
        &b"\x80\x02ccollections\nCounter\nq\x00}q\x01X\x01\x00\x00\x00aK\x01s\x85q\x02Rq\x03."[..],
        b"\x80\x02c__builtin__\nset\nq\x00]q\x01K\x01a\x85q\x02Rq\x03.",
        b"\x80\x04\x8f\x94(K\x01K\x02\x90.",
        b"\x80\x04(K\x01K\x02\x91\x94.",
        b"\x80\x02c_codecs\nencode\nq\x00X\x02\x00\x00\x00xyX\x06\x00\x00\x00latin1\x86R.",
        b"\x80\x02c__builtin__\ncomplex\nG\x3f\xf0\x00\x00\x00\x00\x00\x00G\x3f\xf0\x00\x00\x00\x00\x00\x00\x86R.",
        b"\x80\x02ctorch\nSize\nK\x02K\x03\x86\x85R.",
        b"\x80\x02ctorch\ndevice\nX\x03\x00\x00\x00cpu\x85R.",
        b"\x80\x02ctorch\nuint8\n.",
        // 2**70 by LONG1, and by LONG4.
        b"\x80\x02\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x40.",
        b"\x80\x02\x8b\x09\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x40.",
    ] {
        Pickle::read(bytes)?;
    }
    let big = Pickle::read(b"\x80\x02\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x40.")?;
    assert_eq!(big.get(big.root), &Value::BigInt);
    Ok(())
}

#[test]
fn nothing_but_tensors_can_be_asked_for() {
    // pickle.dumps of objects whose __reduce__ returns these, protocols 2 and 4.
    for (bytes, name) in [
        (&b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00id\x85R."[..], "os.system"),
        (b"\x80\x02c__builtin__\neval\nX\x01\x00\x00\x001\x85R.", "__builtin__.eval"),
        (b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93\x8c\x01x\x85R.", "builtins.exec"),
        (b"\x80\x02ctorch\nload\n.", "torch.load"),
        (b"\x80\x02ctorch.cuda\nFloatTensor\n.", "torch.cuda.FloatTensor"),
        (b"\x80\x02ctorch\nint_repr\n.", "torch.int_repr"),
        (b"\x80\x02c__torch__x\nf\n.", "__torch__x.f"),
    ] {
        assert!(error(bytes).contains(&format!("asks for {name:?}")), "{}", error(bytes));
    }
}

#[test]
fn broken_and_hostile_pickles_are_errors() {
    let many = |opcode: &[u8]| [b"\x80\x02", &opcode.repeat(MOST_VALUES + 1)[..], b"."].concat();
    for (bytes, message) in [
        (b"".to_vec(), "it is cut"),
        (b"\x80\x02N".to_vec(), "it is cut"),
        (b"\x80\x02.".to_vec(), "the stack is empty"),
        (b"\x80\x02(0.".to_vec(), "the stack is empty"),
        (b"\x80\x00.".to_vec(), "pickle protocol 0"),
        (b"\x80\x02h\x05.".to_vec(), "has never stored"),
        (b"\x80\x02X\xff\xff\xff\xffa.".to_vec(), "it is cut"),
        (b"\x80\x02NNa.".to_vec(), "only a list or a set"),
        (b"\x80\x02NNNs.".to_vec(), "only a dictionary"),
        (b"\x80\x02}(Nu.".to_vec(), "only a dictionary"),
        (b"\x80\x02N)R.".to_vec(), "only names can be called"),
        (b"\x80\x02ios\nsystem\n.".to_vec(), "opcode 0x69"),
        (b"\x80\x02\x82\x01.".to_vec(), "opcode 0x82"),
        (many(b"N"), "at most"),
        (many(b"("), "at most"),
        (many(b"]2"), "at most"),
        ([b"\x80\x02N", &b"2".repeat(MOST_VALUES + 1)[..], b"."].concat(), "at most"),
    ] {
        assert!(error(&bytes).contains(message), "{}", error(&bytes));
    }
}

#[test]
fn depth_and_circles_cost_nothing() -> Result<(), Problem> {
    // Tuples in tuples, half a million deep, and a list that contains itself.
    let deep = [b"\x80\x02N", &b"\x85".repeat(MOST_VALUES - 1)[..], b"."].concat();
    assert_eq!(Pickle::read(&deep)?.values.len(), MOST_VALUES);
    let circle = Pickle::read(b"\x80\x02]q\x00h\x00a.")?;
    assert_eq!(circle.get(circle.root), &Value::List(vec![circle.root]));
    Ok(())
}
