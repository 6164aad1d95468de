# The server simam-serve as an image; docs/container.md says how it is built and run.
#
#     docker build --target cpu -t simam-serve:cpu .
#     docker build --target gpu -t simam-serve:gpu .

ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS wheel
WORKDIR /source
COPY constraints.txt ./
RUN pip install --no-cache-dir -c constraints.txt hatchling
COPY . ./
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .

FROM python:${PYTHON}-slim AS packages
RUN python -m venv /opt/simam
ENV PATH=/opt/simam/bin:$PATH
WORKDIR /wheels
COPY constraints.txt ./
COPY --from=wheel /wheels ./

FROM packages AS cpu-packages
ARG EXTRAS=cpu,serve
# First, and from its own index: PyPI's brings CUDA along, some GB that a CPU never reads.
RUN pip install --no-cache-dir -c constraints.txt --no-deps \
        --index-url https://download.pytorch.org/whl/cpu torch
# By its file, for a name alone could be answered by an index.
RUN set -- simam_deploy-*.whl && pip install --no-cache-dir -c constraints.txt "./$1[$EXTRAS]"

FROM packages AS gpu-packages
ARG EXTRAS=gpu,serve
RUN set -- simam_deploy-*.whl && pip install --no-cache-dir -c constraints.txt "./$1[$EXTRAS]"
# CUDA and cuDNN are those that PyTorch's wheels bring; ONNX Runtime looks for them by their names.
RUN ln -s /opt/simam/lib/python*/site-packages/nvidia /opt/simam/nvidia
ENV LD_LIBRARY_PATH=/opt/simam/nvidia/cu13/lib:/opt/simam/nvidia/cudnn/lib
# The driver's libcuda comes when the image is run; what else is missing ends the build, not a start.
RUN test -e /opt/simam/nvidia/cudnn/lib/libcudnn.so.9 \
    && ldd /opt/simam/lib/python*/site-packages/onnxruntime/capi/libonnxruntime_providers_cuda.so >needs \
    && awk '/not found/ && !/libcuda\.so/ {print; missing = 1} END {exit missing}' needs

FROM python:${PYTHON}-slim AS server
# ONNX Runtime's Linux wheels tell Microsoft of every model (since 1.29) unless they are told not to.
ENV PATH=/opt/simam/bin:$PATH \
    XDG_CACHE_HOME=/tmp/cache \
    ORT_DISABLE_TELEMETRY=1
WORKDIR /models
# By number, which Kubernetes' runAsNonRoot asks for; it owns nothing in the image.
USER 10001:10001
EXPOSE 8000 8001
STOPSIGNAL SIGTERM
# Past proxies of the environment, which have no way back into the container.
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "from urllib.request import ProxyHandler, build_opener; build_opener(ProxyHandler({})).open('http://127.0.0.1:8000/v2/health/ready', timeout=4)"]
# Without a token it ends: whoever reaches the port could reload and unload the models.
ENTRYPOINT ["simam-serve", "--host", "0.0.0.0", "--token-file", "/run/secrets/token"]
CMD ["/models"]

FROM server AS gpu
ENV LD_LIBRARY_PATH=/opt/simam/nvidia/cu13/lib:/opt/simam/nvidia/cudnn/lib \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=gpu-packages /opt/simam /opt/simam

# The last, so what `docker build .` makes.
FROM server AS cpu
COPY --from=cpu-packages /opt/simam /opt/simam
