use std::{
    io::IoSlice,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, duplex};

use super::{GATHERED_BYTES_MAX, Gathered};

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn written<S: AsyncWrite + Unpin>(
    stream: &mut Gathered<S>,
    cx: &mut Context<'_>,
    parts: &[&[u8]],
) -> Option<usize> {
    let slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
    match Pin::new(stream).poll_write_vectored(cx, &slices) {
        Poll::Ready(taken) => Some(taken.unwrap()),
        Poll::Pending => None,
    }
}

fn read_nothing<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut Gathered<S>, cx: &mut Context<'_>) {
    let mut room = [0; 16];
    assert!(Pin::new(stream).poll_read(cx, &mut ReadBuf::new(&mut room)).is_pending());
}

#[tokio::test]
async fn writes_wait_for_the_next_read_and_go_together() {
    let (near, mut far) = duplex(1 << 20);
    let mut stream = Gathered::new(near);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let mut cx = Context::from_waker(&waker);
    assert_eq!(written(&mut stream, &mut cx, &[b"one ", b"two "]), Some(8));
    assert_eq!(written(&mut stream, &mut cx, &[b"three"]), Some(5));
    assert!(Pin::new(&mut stream).poll_flush(&mut cx).is_ready());
    assert_eq!(woken.0.load(Ordering::SeqCst), 1, "it asks to be polled again, once");
    let mut room = [0; 64];
    let mut place = ReadBuf::new(&mut room);
    assert!(Pin::new(&mut far).poll_read(&mut cx, &mut place).is_pending(), "nothing is sent yet");
    read_nothing(&mut stream, &mut cx);
    let mut said = [0; 13];
    far.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"one two three");
    assert_eq!(stream.waiting.capacity(), 0, "an idle connection holds no buffer");
    // And it begins anew.
    assert_eq!(written(&mut stream, &mut cx, &[b"four"]), Some(4));
    assert!(woken.0.load(Ordering::SeqCst) >= 2);
    read_nothing(&mut stream, &mut cx);
    far.read_exact(&mut said[..4]).await.unwrap();
    assert_eq!(&said[..4], b"four");
}

#[tokio::test]
async fn a_client_that_takes_nothing_holds_the_writer_back() {
    let (near, mut far) = duplex(1_000);
    let mut stream = Gathered::new(near);
    let mut cx = Context::from_waker(Waker::noop());
    let much = vec![7; GATHERED_BYTES_MAX - 10];
    assert_eq!(written(&mut stream, &mut cx, &[&much]), Some(much.len()));
    assert_eq!(written(&mut stream, &mut cx, &[b"eight by", b"tes and more"]), Some(10));
    assert_eq!(written(&mut stream, &mut cx, &[b"x"]), None, "full, and the client's side too");
    let mut taken = vec![0; 2_000];
    let taken = far.read(&mut taken).await.unwrap();
    assert!(taken > 0);
    assert_eq!(written(&mut stream, &mut cx, &[b"s"]), Some(1), "what was sent makes room");
    let reader = tokio::spawn(async move {
        let mut all = Vec::new();
        far.read_to_end(&mut all).await.unwrap();
        all
    });
    // Shutdown sends what waits.
    stream.shutdown().await.unwrap();
    drop(stream);
    let all = reader.await.unwrap();
    assert_eq!(all.len(), GATHERED_BYTES_MAX + 1 - taken);
    assert!(all.ends_with(b"eight bytes"));
}

#[tokio::test]
async fn a_client_that_is_gone_is_an_error() {
    let (near, far) = duplex(1_000);
    let mut stream = Gathered::new(near);
    drop(far);
    stream.write_all(b"to nobody").await.unwrap();
    let error = stream.read(&mut [0; 4]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
}
